use std::io::Cursor;

use super::*;

fn mapping(text: &str) -> Mapping {
    toml::from_str(text).unwrap()
}

/// Every row as `line: field=value ..`, or its problem.
fn read(octets: &[u8], mapping: &Mapping) -> Vec<String> {
    mapping.check().unwrap();
    let mut table = match Table::open(Cursor::new(octets), mapping).unwrap() {
        Ok(table) => table,
        Err(error) => return vec![error.to_string()],
    };
    let mut rows = Vec::new();
    loop {
        match table.next_row() {
            Ok(None) => return rows,
            Ok(Some((line, Ok(mut said)))) => {
                let mut text = format!("{line}:");
                for field in fields() {
                    if let Some(value) = said.take(field) {
                        text += &format!(" {field}={value}");
                    }
                    let several = said.take_several(field);
                    if !several.is_empty() {
                        text += &format!(" {field}={}", several.join("+"));
                    }
                }
                rows.push(text);
            }
            Ok(Some((line, Err(problem)))) => rows.push(format!("{line}: {problem}")),
            Err(error) => {
                rows.push(error.to_string());
                return rows;
            }
        }
    }
}

const FRENCH: &str = r#"
delimiter = ";"
encoding = "windows-1252"
yes = ["Oui", "1"]
no = ["non"]
withdrawn = ["désinscrit"]
[columns]
address = "E-mail"
state = "Suivi accepté"
at = "Date"
[constant]
controller = "shop"
"#;

#[test]
fn a_table_of_a_spreadsheet_is_read_by_its_mapping() {
    let text = "E-mail;Nom;Suivi accept\u{e9};Date\r\n\
                a@example.net;\"Dupont; \"\"Jean\"\"\r\nJunior\";oui;02/05/2026\r\n\
                b@example.net;X;D\u{e9}sinscrit;\r\n\r\n\
                c@example.net;Y; ;03/05/2026\r\n";
    let (octets, _, _) = encoding_rs::WINDOWS_1252.encode(text);
    assert_eq!(
        read(&octets, &mapping(FRENCH)),
        [
            "2: controller=shop address=a@example.net state=granted at=02/05/2026",
            "4: controller=shop address=b@example.net state=withdrawn",
            "6: controller=shop address=c@example.net at=03/05/2026",
        ]
    );
    let mapping = mapping(FRENCH);
    let table = Table::open(Cursor::new(&octets), &mapping)
        .unwrap()
        .ok()
        .unwrap();
    assert_eq!(table.unread(), ["`Nom`"]);
}

#[test]
fn without_a_mapping_the_first_line_names_fields() {
    let text = "\u{feff}address,state,purposes\na@example.net,granted,campaign_performance|personalisation\n";
    assert_eq!(
        read(text.as_bytes(), &Mapping::default()),
        ["2: address=a@example.net state=granted purposes=campaign_performance+personalisation"]
    );
    let unknown = read(b"address,consent\na@example.net,1\n", &Mapping::default());
    assert!(
        unknown[0].contains("line 1: column `consent` is no field"),
        "{unknown:?}"
    );
    let twice = read(b"address,address\n", &Mapping::default());
    assert!(twice[0].contains("twice"), "{twice:?}");
}

#[test]
fn without_a_header_columns_are_numbers() {
    let by_number = mapping("header = false\n[columns]\naddress = \"2\"\nstate = \"1\"\n");
    assert_eq!(
        read(
            b"granted,a@example.net,x\nrefused,b@example.net\n",
            &by_number
        ),
        [
            "1: address=a@example.net state=granted",
            "2: address=b@example.net state=refused"
        ]
    );
    assert_eq!(
        read(b"granted\n", &by_number),
        ["1: has no column 2 for `address`"]
    );
    let zero = mapping("header = false\n[columns]\naddress = \"0\"\n");
    assert!(read(b"x\n", &zero)[0].contains("number from 1"));
}

#[test]
fn a_column_that_is_missing_or_there_twice_is_an_error_that_shows_the_first_line() {
    let wanted = mapping("[columns]\naddress = \"Email\"\n");
    let wrong = read(b"E-mail;Nom\nx;y\n", &wanted);
    assert!(
        wrong[0].contains("`Email`")
            && wrong[0].contains("`E-mail;Nom`")
            && wrong[0].contains("delimiter `,`"),
        "{wrong:?}"
    );
    assert!(read(b"Email,Email\n", &wanted)[0].contains("twice"));
    // Of a table without a header line the first line is data, and data can be addresses.
    let wrong = read(b"anna@example.net,1\n", &wanted);
    assert!(!wrong[0].contains("example.net"), "{wrong:?}");
}

#[test]
fn a_row_that_is_wrong_names_its_line_and_never_an_address() {
    let table = |row: &str| {
        read(
            format!("address,state\n{row}\n").as_bytes(),
            &Mapping::default(),
        )
    };
    assert!(
        table("a@example.net,granted,more")[0].starts_with("2: has 3 fields and the first line 2")
    );
    assert!(table("a@example.net,si")[0].contains("`si` is no state"));
    let swapped = table("granted,a@example.net");
    assert!(!swapped[0].contains("example.net"), "{swapped:?}");
    let latin = read(
        b"address,state\na@example.net,accept\xe9\n",
        &Mapping::default(),
    );
    assert!(
        latin[0].starts_with("2: is not UTF-8") && latin[0].contains("windows-1252"),
        "{latin:?}"
    );
}

/// Counts what is read of it.
struct Counting<'a>(&'a [u8], &'a Cell<usize>);

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.set(self.1.get() + read);
        Ok(read)
    }
}

#[test]
fn a_quote_that_is_never_closed_ends_at_the_limit_of_a_row() {
    let text = format!(
        "address,state\n\"a@example.net,granted\n{}",
        "x\n".repeat(10 * ROW_OCTETS_MAX)
    );
    let (read, mapping) = (Cell::new(0), Mapping::default());
    let mut table = Table::open(Counting(text.as_bytes(), &read), &mapping)
        .unwrap()
        .ok()
        .unwrap();
    let error = table.next_row().err().unwrap().to_string();
    assert!(error.contains("quote never closed"), "{error}");
    // What is held of it is what was read of it.
    assert!(read.get() < 2 * ROW_OCTETS_MAX, "{}", read.get());
}

#[test]
fn utf_16_is_read_when_it_is_named() {
    let text = "\u{feff}address\tstate\r\na@example.net\tgranted\r\n";
    let octets: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = mapping("delimiter = \"\\t\"\nencoding = \"utf-16le\"\n");
    assert_eq!(
        read(&octets, &utf16),
        ["2: address=a@example.net state=granted"]
    );
}

#[test]
fn a_large_table_in_another_encoding_is_read_whole() {
    let mut text = "address;state\n".to_owned();
    for number in 0..20_000 {
        text += &format!("p{number}@example.net;\u{e9}\n");
    }
    let (octets, _, _) = encoding_rs::WINDOWS_1252.encode(&text);
    let latin = mapping("delimiter = \";\"\nencoding = \"latin1\"\nyes = [\"\u{e9}\"]\n");
    let rows = read(&octets, &latin);
    assert_eq!(rows.len(), 20_000);
    assert!(rows.iter().all(|row| row.ends_with("state=granted")));
}

#[test]
fn a_mapping_that_contradicts_itself_is_refused() {
    for (text, key) in [
        ("delimiter = \"::\"", "delimiter"),
        ("delimiter = \"\\\"\"", "delimiter"),
        ("encoding = \"latin-99\"", "encoding"),
        ("separator = \"\"", "separator"),
        ("yes = [\"1\"]\nno = [\"1\"]", "no"),
        ("yes = [\"\"]", "yes"),
        ("no = [\"Granted\"]", "no"),
    ] {
        assert_eq!(mapping(text).check().unwrap_err().0, key, "{text}");
    }
    assert!(toml::from_str::<Mapping>("delimeter = \";\"").is_err());
}
