//! JSON with its members in order, and twice where they come twice: other parsers keep one of them.
//! Panics on what is no JSON, and on a value that is not what it is asked for.

use std::collections::BTreeMap;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Json {
    Null,
    Number(String),
    Text(String),
    Object(Vec<(String, Json)>),
    True,
    False,
    List(Vec<Json>),
}

impl Json {
    pub(crate) fn parse(text: &str) -> Self {
        let mut parser = Parser(text);
        let value = parser.value();
        parser.space();
        assert!(parser.0.is_empty(), "more than one value: {}", parser.0);
        value
    }

    fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            other => panic!("expected an object, found {other:?}"),
        }
    }

    /// The only member of an object.
    pub(crate) fn only(&self) -> (&str, &Self) {
        match self.members() {
            [(name, value)] => (name.as_str(), value),
            more => panic!("expected one member, found {}", more.len()),
        }
    }

    fn find(&self, name: &str) -> Option<&Self> {
        let mut found = self.members().iter().filter(|member| member.0 == name);
        let value = found.next().map(|member| &member.1);
        assert!(found.next().is_none(), "{name} comes twice");
        value
    }

    pub(crate) fn get(&self, name: &str) -> &Self {
        let value = self.find(name);
        value.unwrap_or_else(|| panic!("{name} is missing"))
    }

    /// A member that may be null or left out.
    pub(crate) fn optional(&self, name: &str) -> Option<&Self> {
        self.find(name).filter(|value| **value != Self::Null)
    }

    pub(crate) fn boolean(&self) -> bool {
        match self {
            Self::True => true,
            Self::False => false,
            other => panic!("expected true or false, found {other:?}"),
        }
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => panic!("expected text, found {other:?}"),
        }
    }

    pub(crate) fn list<T>(&self, value: fn(&Self) -> T) -> Vec<T> {
        match self {
            Self::List(items) => items.iter().map(value).collect(),
            other => panic!("expected a list, found {other:?}"),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        let Self::Number(digits) = self else {
            panic!("expected a number, found {self:?}")
        };
        assert!(digits.bytes().all(|b| b.is_ascii_digit()), "{digits}");
        digits.parse().unwrap()
    }

    pub(crate) fn hex(&self, digits: usize) -> u64 {
        let text = self.text();
        assert_eq!(text.len(), digits, "{text}");
        assert!(text.bytes().all(|b| b"0123456789abcdef".contains(&b)));
        u64::from_str_radix(text, 16).unwrap()
    }

    /// An object whose members are names of somebody's own.
    pub(crate) fn map<T>(&self, value: fn(&Self) -> T) -> BTreeMap<String, T> {
        let mut map = BTreeMap::new();
        for (name, member) in self.members() {
            assert!(map.insert(name.clone(), value(member)).is_none(), "{name}");
        }
        map
    }
}

struct Parser<'a>(&'a str);

impl Parser<'_> {
    fn space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn skip(&mut self, token: &str) -> bool {
        self.space();
        let rest = self.0.strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) {
        assert!(self.skip(token), "expected {token}, found {}", self.0);
    }

    fn value(&mut self) -> Json {
        if self.skip("null") {
            return Json::Null;
        }
        if self.skip("true") {
            return Json::True;
        }
        if self.skip("false") {
            return Json::False;
        }
        if self.skip("[") {
            return Json::List(self.items("]", Self::value));
        }
        if self.skip("{") {
            return Json::Object(self.items("}", Self::member));
        }
        if self.skip("\"") {
            return Json::Text(self.text());
        }
        Json::Number(self.number())
    }

    fn items<T>(&mut self, end: &str, item: fn(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        if self.skip(end) {
            return items;
        }
        loop {
            items.push(item(self));
            if self.skip(end) {
                return items;
            }
            self.expect(",");
        }
    }

    fn member(&mut self) -> (String, Json) {
        self.expect("\"");
        let name = self.text();
        self.expect(":");
        (name, self.value())
    }

    fn number(&mut self) -> String {
        let of_number = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let rest = self.0.trim_start_matches(of_number);
        let number = &self.0[..self.0.len() - rest.len()];
        let digits = number.strip_prefix('-').unwrap_or(number);
        assert!(digits.starts_with(|c: char| c.is_ascii_digit()), "{rest}");
        let whole = digits.bytes().all(|b| b.is_ascii_digit());
        assert!(!whole || digits == "0" || !digits.starts_with('0'));
        self.0 = rest;
        number.to_owned()
    }

    fn next(&mut self) -> char {
        let mut chars = self.0.chars();
        let next = chars.next().unwrap();
        self.0 = chars.as_str();
        next
    }

    /// What follows an opening quote, up to the closing one.
    fn text(&mut self) -> String {
        let mut text = String::new();
        loop {
            match self.next() {
                '"' => return text,
                '\\' => text.push(self.escaped()),
                plain => {
                    assert!(plain >= ' ', "{plain:?} within text");
                    text.push(plain);
                }
            }
        }
    }

    fn escaped(&mut self) -> char {
        match self.next() {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => self.code_point(),
            same @ ('"' | '\\' | '/') => same,
            other => panic!("\\{other} is no escape"),
        }
    }

    fn code_point(&mut self) -> char {
        let high = self.unit();
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high).unwrap();
        }
        assert_eq!((self.next(), self.next()), ('\\', 'u'));
        let low = self.unit();
        assert!((0xdc00..0xe000).contains(&low));
        char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)).unwrap()
    }

    fn unit(&mut self) -> u32 {
        let digit = |_| self.next().to_digit(16).unwrap();
        (0..4).map(digit).fold(0, |unit, digit| unit << 4 | digit)
    }
}
