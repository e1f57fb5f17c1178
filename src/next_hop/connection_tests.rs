use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::next_hop::greeting;
use crate::next_hop::pool::Ready;
use crate::next_hop::settings::Settings;
use crate::smtp::stuffing::stuff;

/// A connection that was greeted by a server without extensions, and the server's end of it.
async fn greeted() -> (Box<Connection>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let ready = Ready {
        settings: Settings::new(address.parse().unwrap()),
        secure: None,
        login: None,
    };
    let serving = async {
        let (mut server, _) = listener.accept().await.unwrap();
        server.write_all(b"220 hi\r\n").await.unwrap();
        let mut octets = [0; 64];
        let count = server.read(&mut octets).await.unwrap();
        assert_eq!(&octets[..count], b"EHLO localhost\r\n");
        server.write_all(b"250 hi\r\n").await.unwrap();
        server
    };
    let (connection, server) = tokio::join!(greeting::open(&ready, None), serving);
    (connection.unwrap(), server)
}

#[tokio::test]
async fn nothing_is_written_when_it_is_too_late_for_the_dot() {
    let (mut connection, mut server) = greeted().await;
    let past = Instant::now() - Duration::from_millis(1);
    let left = connection.content(stuff([&b"a\r\n"[..]]), past).await;
    assert!(matches!(left, Left::NoTime), "{left:?}");
    drop(connection);
    let mut octets = Vec::new();
    server.read_to_end(&mut octets).await.unwrap();
    assert_eq!(octets, b"");
}

#[tokio::test]
async fn a_small_message_and_its_dot_are_one_write() {
    let (mut connection, mut server) = greeted().await;
    let later = Instant::now() + Duration::from_secs(5);
    let left = connection
        .content(stuff([&b"a\r\n.b\r\n"[..]]), later)
        .await;
    assert!(matches!(left, Left::WithDot), "{left:?}");
    let mut octets = [0; 64];
    let count = server.read(&mut octets).await.unwrap();
    assert_eq!(&octets[..count], b"a\r\n..b\r\n.\r\n");
}

fn blocks(slices: &[&[u8]]) -> Vec<(usize, usize, bool)> {
    let mut blocks = Blocks {
        slices: slices.iter().copied(),
        rest: &[],
        ahead: None,
    };
    let mut all = Vec::new();
    let mut block = Vec::new();
    loop {
        let is_last = blocks.fill(&mut block);
        let octets = block.iter().map(|slice| slice.len()).sum();
        all.push((block.len(), octets, is_last));
        if is_last {
            return all;
        }
    }
}

#[test]
fn the_last_block_is_known_and_none_is_larger_than_allowed() {
    let block = vec![b'x'; BLOCK_OCTETS];
    assert_eq!(blocks(&[b"a", b".\r\n"]), [(2, 4, true)]);
    assert_eq!(
        blocks(&[&block, b".\r\n"]),
        [(1, BLOCK_OCTETS, false), (1, 3, true)]
    );
    assert_eq!(blocks(&[&block]), [(1, BLOCK_OCTETS, true)]);
    let large = vec![b'x'; 2 * BLOCK_OCTETS + 1];
    assert_eq!(
        blocks(&[&large]),
        [
            (1, BLOCK_OCTETS, false),
            (1, BLOCK_OCTETS, false),
            (1, 1, true)
        ]
    );
    let many = [&b"."[..]; 2 * BLOCK_SLICES];
    assert_eq!(
        blocks(&many),
        [
            (BLOCK_SLICES, BLOCK_SLICES, false),
            (BLOCK_SLICES, BLOCK_SLICES, true)
        ]
    );
}

/// An address whose connections hang: somebody listens there who takes none, and as many wait as may.
async fn hanging() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while waiting.len() < 16 {
        match timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
            Ok(stream) => waiting.push(stream.unwrap()),
            Err(_) => return (listener, waiting),
        }
    }
    panic!("the kernel takes more than it was told");
}

#[tokio::test]
async fn an_address_that_hangs_leaves_time_for_the_others() {
    let (hangs, _waiting) = hanging().await;
    let hangs = hangs.local_addr().unwrap();
    let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refuses = {
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        gone.local_addr().unwrap()
    };
    let all = [hangs, refuses, open.local_addr().unwrap()];
    let by = Instant::now() + Duration::from_secs(6);
    let early = by - Duration::from_secs(1);
    let connecting = timeout_at(early, connect_any(&all, None, by));
    let stream = connecting.await.expect("in its share").unwrap();
    assert_eq!(stream.peer_addr().unwrap(), open.local_addr().unwrap());
    let by = Instant::now() + Duration::from_secs(1);
    let error = connect_any(&[hangs], None, by).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let error = connect_any(&[], None, by).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
}

#[tokio::test]
async fn a_connection_comes_from_the_address_it_is_told() {
    let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let source = "127.0.0.7".parse().unwrap();
    let by = Instant::now() + Duration::from_secs(6);
    let all = [open.local_addr().unwrap()];
    let stream = connect_any(&all, Some(source), by).await.unwrap();
    assert_eq!(stream.local_addr().unwrap().ip(), source);
}
