//! What a process says about itself: the text that Prometheus reads, between a first and a last
//! line. It comes from another process, which may be anybody: what is not as it has to be is
//! refused as a whole, and nothing in it is taken for more than words and numbers.

use std::collections::BTreeMap;

/// What figures are of. Sockets come before their endpoints, and these before their peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    pub socket: i32,
    pub endpoint: Option<i64>,
    pub peer: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub name: String,
    pub type_name: String,
    pub address: String,
    /// By the name of the metric, and its cause or state behind a point.
    pub values: BTreeMap<String, f64>,
}

pub type Rows = BTreeMap<Subject, Row>;

impl Row {
    /// The sum of those that begin so: one, or one of each cause.
    pub fn sum(&self, name: &str) -> f64 {
        let is_it = |key: &str| key == name || key.split_once('.').is_some_and(|it| it.0 == name);
        self.values.iter().filter(|(key, _)| is_it(key)).map(|(_, value)| value).sum()
    }
}

/// Reads a whole answer. `None` when it is none.
pub fn parse(text: &str) -> Option<Rows> {
    let mut lines = text.lines();
    if !lines.next()?.starts_with(FIRST) || !text.ends_with(LAST) {
        return None;
    }
    let mut rows = Rows::new();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let sample = sample(line)?;
        let subject = sample.subject()?;
        let row = rows.entry(subject).or_default();
        for (place, label) in
            [(&mut row.name, "name"), (&mut row.type_name, "type"), (&mut row.address, "address")]
        {
            if let Some(value) = sample.labels.get(label) {
                place.clone_from(value);
            }
        }
        row.values.insert(sample.key()?, sample.value);
    }
    Some(rows)
}

struct Sample<'a> {
    metric: &'a str,
    labels: BTreeMap<&'a str, String>,
    value: f64,
}

impl Sample<'_> {
    fn subject(&self) -> Option<Subject> {
        let number = |label| self.labels.get(label).map(|value| value.parse::<i64>());
        Some(Subject {
            socket: number("socket")?.ok()?.try_into().ok()?,
            endpoint: number("endpoint").transpose().ok()?,
            peer: number("peer").transpose().ok()?,
        })
    }

    fn key(&self) -> Option<String> {
        let is = |label| self.labels.contains_key(label);
        let prefix = match (is("endpoint"), is("peer")) {
            (_, true) => "spmsg_peer_",
            (true, false) => "spmsg_endpoint_",
            (false, false) => "spmsg_",
        };
        let name = self.metric.strip_prefix(prefix)?;
        let more = self.labels.get("cause").or_else(|| self.labels.get("state"));
        Some(more.map_or_else(|| name.to_owned(), |more| format!("{name}.{more}")))
    }
}

/// `name{label="value",...} number`
fn sample(line: &str) -> Option<Sample<'_>> {
    let (metric, mut rest) = line.split_once('{')?;
    let mut labels = BTreeMap::new();
    while !rest.starts_with('}') {
        let (label, quoted) = rest.split_once("=\"")?;
        let (value, behind) = unquoted(quoted)?;
        labels.insert(label, value);
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    let value: f64 = rest.strip_prefix("} ")?.parse().ok()?;
    value.is_finite().then_some(Sample { metric, labels, value })
}

/// A value up to its closing quote, and what stands behind that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

const FIRST: &str = "# spmsg-stats 1 ";
const LAST: &str = "\n# EOF\n";

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r##"# spmsg-stats 1 process=7
# HELP spmsg_messages_sent_total Messages sent.
# TYPE spmsg_messages_sent_total counter
spmsg_messages_sent_total{socket="0",name="a \"b\"\n",type="pub"} 12
spmsg_messages_dropped_total{socket="0",name="",type="pub",cause="no_room"} 3
spmsg_messages_dropped_total{socket="0",name="",type="pub",cause="hops"} 4
spmsg_endpoint_connections{socket="0",name="",type="pub",endpoint="1",address="tcp://a"} 2
spmsg_peer_sent_bytes_total{socket="0",name="",type="pub",endpoint="1",address="b",peer="5"} 9.5
# EOF
"##;

    #[test]
    fn an_answer_becomes_rows_of_sockets_endpoints_and_peers() {
        let rows = parse(ANSWER).unwrap();
        let subjects: Vec<_> = rows.keys().map(|it| (it.socket, it.endpoint, it.peer)).collect();
        assert_eq!(subjects, [(0, None, None), (0, Some(1), None), (0, Some(1), Some(5))]);
        let all: Vec<_> = rows.values().collect();
        assert_eq!((all[0].sum("messages_sent_total"), all[0].type_name.as_str()), (12.0, "pub"));
        assert_eq!(all[0].sum("messages_dropped_total"), 7.0);
        assert_eq!((all[1].sum("connections"), all[1].address.as_str()), (2.0, "tcp://a"));
        assert_eq!(all[2].sum("sent_bytes_total"), 9.5);
    }

    #[test]
    fn an_answer_that_is_cut_anywhere_is_none() {
        for end in 0..ANSWER.len() {
            assert_eq!(parse(&ANSWER[..end]), None, "{end}");
        }
    }

    #[test]
    fn what_a_stranger_says_is_refused() {
        let with = |line: &str| format!("# spmsg-stats 1 process=7\n{line}\n# EOF\n");
        assert!(parse(&with("spmsg_x{socket=\"0\"} 1")).is_some());
        for line in [
            "",
            "x",
            "{",
            "{}",
            "a{b",
            "a{b=\"",
            "a{b=\"c\"",
            "a{b=\"\\",
            "spmsg_x{} 1",
            "spmsg_x{socket=\"x\"} 1",
            "spmsg_x{socket=\"0\"} x",
            "spmsg_x{socket=\"0\"} inf",
            "spmsg_x{socket=\"0\"}1",
            "other{socket=\"0\"} 1",
            "spmsg_x{socket=\"0\",peer=\"y\"} 1",
            "spmsg_x{socket=\"99999999999\"} 1",
        ] {
            assert_eq!(parse(&with(line)), None, "{line}");
        }
        assert_eq!(parse(""), None);
        assert_eq!(parse("# EOF\n"), None);
    }
}
