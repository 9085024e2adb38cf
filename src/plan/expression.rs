//! The expressions of `-k` and `-m`: words, joined with `and`, `or`, `not` and parentheses.
//!
//! The grammar is pytest's (<https://docs.pytest.org/en/stable/how-to/usage.html>): `not` binds strongest, then `and`, then
//! `or`. What a word means is for the caller to say: part of a name for `-k`, a tag for `-m`. Where pytest knows some
//! characters only, any that is no blank or parenthesis may be in a word: not all ids are those of Python.

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A word, as it was written.
    Word(String),
    /// Not this.
    Not(Box<Expression>),
    /// All of these. A list, not a pair of pairs: what looks through it must not call itself as often as it is long.
    And(Vec<Expression>),
    /// One of these.
    Or(Vec<Expression>),
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at character {at}")]
pub struct ExpressionError {
    /// What is wrong.
    pub message: String,
    /// Where, from 1.
    pub at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Word(String),
}

/// How deep parentheses and `not`s may nest: a parser that calls itself must not be driven into the end of its stack.
const DEEPEST: usize = 200;

impl Expression {
    /// Parses an expression.
    ///
    /// # Errors
    /// Where it is malformed, and how.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let tokens = tokens(text);
        let mut parser = Parser {
            end: text.chars().count() + 1,
            tokens,
            next: 0,
            depth: 0,
        };
        let expression = parser.or()?;
        match parser.peek() {
            None => Ok(expression),
            Some(Token::Open) if parser.is_after_word() => {
                Err(parser.error("a word takes no arguments: expected `and`, `or` or the end"))
            }
            Some(Token::Word(word)) if of_another_language(word).is_some() => {
                let instead = of_another_language(word).unwrap_or_default();
                Err(parser.error(&instead))
            }
            Some(_) => Err(parser.error("expected `and`, `or` or the end")),
        }
    }

    /// Whether it holds, where `is` says so of each word.
    #[must_use]
    pub fn holds(&self, is: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Word(word) => is(word),
            Self::Not(inner) => !inner.holds(is),
            Self::And(all) => all.iter().all(|one| one.holds(is)),
            Self::Or(any) => any.iter().any(|one| one.holds(is)),
        }
    }

    /// Its words, in the order in which they are written.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        match self {
            Self::Word(word) => vec![word],
            Self::Not(inner) => inner.words(),
            Self::And(list) | Self::Or(list) => list.iter().flat_map(Self::words).collect(),
        }
    }

    /// The same with all words in lower case.
    #[must_use]
    pub fn in_lower_case(self) -> Self {
        let all = |list: Vec<Self>| list.into_iter().map(Self::in_lower_case).collect();
        match self {
            Self::Word(word) => Self::Word(word.to_lowercase()),
            Self::Not(inner) => Self::Not(Box::new(inner.in_lower_case())),
            Self::And(list) => Self::And(all(list)),
            Self::Or(list) => Self::Or(all(list)),
        }
    }
}

fn tokens(text: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut start = 0;
    let finish = |word: &mut String, start: usize, tokens: &mut Vec<(usize, Token)>| {
        if !word.is_empty() {
            let token = match word.as_str() {
                "and" => Token::And,
                "or" => Token::Or,
                "not" => Token::Not,
                _ => Token::Word(word.clone()),
            };
            tokens.push((start, token));
            word.clear();
        }
    };
    for (index, character) in text.chars().enumerate() {
        match character {
            '(' | ')' => {
                finish(&mut word, start, &mut tokens);
                let token = if character == '(' {
                    Token::Open
                } else {
                    Token::Close
                };
                tokens.push((index + 1, token));
            }
            _ if character.is_whitespace() => finish(&mut word, start, &mut tokens),
            _ => {
                if word.is_empty() {
                    start = index + 1;
                }
                word.push(character);
            }
        }
    }
    finish(&mut word, start, &mut tokens);
    tokens
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    end: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(_, token)| token)
    }

    fn is_after_word(&self) -> bool {
        let before = self
            .next
            .checked_sub(1)
            .and_then(|index| self.tokens.get(index));
        matches!(before, Some((_, Token::Word(_))))
    }

    fn take(&mut self, token: &Token) -> bool {
        let is_next = self.peek() == Some(token);
        self.next += usize::from(is_next);
        is_next
    }

    fn error(&self, message: &str) -> ExpressionError {
        ExpressionError {
            message: message.to_owned(),
            at: self.tokens.get(self.next).map_or(self.end, |(at, _)| *at),
        }
    }

    fn or(&mut self) -> Result<Expression, ExpressionError> {
        let first = self.and()?;
        if self.peek() != Some(&Token::Or) {
            return Ok(first);
        }
        let mut any = vec![first];
        while self.take(&Token::Or) {
            any.push(self.and()?);
        }
        Ok(Expression::Or(any))
    }

    fn and(&mut self) -> Result<Expression, ExpressionError> {
        let first = self.not()?;
        if self.peek() != Some(&Token::And) {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.take(&Token::And) {
            all.push(self.not()?);
        }
        Ok(Expression::And(all))
    }

    fn not(&mut self) -> Result<Expression, ExpressionError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error("nested too deeply"));
        }
        let expression = if self.take(&Token::Not) {
            Expression::Not(Box::new(self.not()?))
        } else if self.take(&Token::Open) {
            let inner = self.or()?;
            if !self.take(&Token::Close) {
                if self.peek() == Some(&Token::Open) && self.is_after_word() {
                    return Err(self.error("a word takes no arguments: expected `)`"));
                }
                return Err(self.error("expected `)`"));
            }
            inner
        } else if let Some(Token::Word(word)) = self.peek() {
            if let Some(instead) = of_another_language(word) {
                return Err(self.error(&instead));
            }
            let word = Expression::Word(word.clone());
            self.next += 1;
            word
        } else {
            return Err(self.error("expected a word, `not` or `(`"));
        };
        self.depth -= 1;
        Ok(expression)
    }
}

/// What to write for an operator of other languages.
fn of_another_language(word: &str) -> Option<String> {
    match word {
        "&&" | "&" => Some("write `and`".to_owned()),
        "||" | "|" => Some("write `or`".to_owned()),
        _ => {
            let negated = word.strip_prefix('!').filter(|word| !word.is_empty())?;
            Some(format!("`!` is not an operator: write `not {negated}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(text: &str, id: &str) -> bool {
        let expression = Expression::parse(text).unwrap().in_lower_case();
        let id = id.to_lowercase();
        expression.holds(&|word| id.contains(word))
    }

    #[test]
    fn words_are_parts_of_ids_in_any_case() {
        assert!(matches("Login", "unit::tests/a.py::test_login[x]"));
        assert!(!matches("logout", "unit::tests/a.py::test_login[x]"));
        assert!(matches("a.py::test", "unit::tests/a.py::test_login"));
    }

    #[test]
    fn words_stay_as_they_were_written_unless_asked() {
        let expression = Expression::parse("Slow and not net").unwrap();
        assert!(expression.holds(&|word| word == "Slow"));
        assert!(!expression.holds(&|word| word == "slow"));
        assert!(expression.in_lower_case().holds(&|word| word == "slow"));
    }

    #[test]
    fn a_call_is_named_as_such() {
        for (text, at) in [("slow(1)", 5), ("a and (b(c=1))", 9), ("x (y)", 3)] {
            let error = Expression::parse(text).unwrap_err();
            assert_eq!(error.at, at, "{text}");
            assert!(
                error.message.contains("takes no arguments"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn not_binds_strongest_then_and_then_or() {
        assert!(matches("x or y and not z", "x z"));
        assert!(!matches("(x or y) and not z", "x z"));
        assert!(matches("not x and y", "y"));
    }

    #[test]
    fn an_expression_may_be_as_long_as_an_argument() {
        let long = |word: &str| format!("x{}", word.repeat(100_000));
        assert!(!matches(&long(" or b"), "a"));
        assert!(matches(&long(" and x"), "x"));
    }

    #[test]
    fn errors_name_the_place() {
        for (text, at) in [
            ("", 1),
            ("a and", 6),
            ("a b", 3),
            ("(a", 3),
            (")", 1),
            ("not", 4),
        ] {
            assert_eq!(Expression::parse(text).unwrap_err().at, at, "{text}");
        }
        assert!(Expression::parse(&"(".repeat(10_000)).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[ab()andortn ]{0,60}") {
            let _ = Expression::parse(&text);
        }
    }
}
