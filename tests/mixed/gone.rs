//! What is owed is decided by the same facts as fresh mail: the listener it came by. One that is gone from the configuration
//! speaks for nobody any more.

use crate::ill_mannered::{Act, IllMannered, Rule, Script, Verb};
use crate::support::{Config, free_port};
use crate::traffic::*;

#[test]
fn mail_of_a_listener_that_is_gone_is_nobodys() {
    for gone in [true, false] {
        let later = Rule::on(Verb::Dot, [Act::say("451 4.3.0 later")]);
        let hop = IllMannered::start(Script::smtp().rule(later.containing(ANNA).times(1)));
        let second = free_port();
        let door = format!("[[listener]]\naddress = \"{second}\"\n");
        let mut config = Config {
            tail: door.clone(),
            ..config_for(&hop)
        };
        let mut served = start(&config);
        let told = Submission::new(&[BEN, ANNA], letter()).send(second);
        assert_eq!(told.dot, ["250 2.0.0 taken"], "{}", served.log());
        assert_eq!(owed(&served).len(), 1);
        assert!(served.stop().success());
        config.spool = eager();
        if gone {
            config.tail.clear();
        }
        served.start_again(&config);
        wait_until("the retry", &served, || spool_is_empty(&served));
        let copy = hop.taken().pop().expect("her copy");
        assert_eq!(paths(&copy.taken), [ANNA]);
        assert_eq!(is_kept(&copy.octets, &letter()), !gone);
        assert_eq!(
            served.log().contains("stream=\"unassigned\""),
            gone,
            "{}",
            served.log()
        );
    }
}
