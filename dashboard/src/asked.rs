//! What a URL asks for: fields by name, and numbers within bounds. A field that is left empty in a form was not given.

use std::convert::Infallible;
use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::fault::Fault;
use crate::say;

/// The fields of a URL, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked(Vec<(String, String)>);

impl Asked {
    /// Reads the part of a URL after its question mark.
    pub fn of(query: &str) -> Self {
        Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// Returns a field without the spaces around it, if it was given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.given().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Returns all values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.given().filter(move |(key, _)| *key == name).map(|(_, value)| value)
    }

    fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, value.trim())).filter(|(_, value)| !value.is_empty())
    }

    /// Returns a field that is a number within `range`; `what` is what it is called in words.
    ///
    /// # Errors
    /// When it is something else.
    pub fn number(&self, name: &str, what: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, Fault> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            let (least, most) = (say::number(*range.start()), say::number(*range.end()));
            Fault::Refused(format!("{what} must be a number from {least} to {most}."))
        })
    }

    /// Returns a field that is a whole number within `range`.
    ///
    /// # Errors
    /// As [`Asked::number`].
    pub fn whole(&self, name: &str, what: &str, range: RangeInclusive<u32>) -> Result<Option<u32>, Fault> {
        let number = self.number(name, what, f64::from(*range.start())..=f64::from(*range.end()))?;
        match number {
            Some(number) if number.fract() != 0.0 => Err(Fault::Refused(format!("{what} must be a whole number."))),
            number => Ok(number.map(|number| number as u32)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_within_their_bounds_and_refused_in_words() {
        let asked = Asked::of("wait=+90&share=0.5&users=2.5&none=&far=1e9&nan=NaN&word=x%3Cb%3E");
        assert_eq!(asked.number("wait", "The wait", 1.0..=3600.0).unwrap(), Some(90.0));
        assert_eq!(asked.number("none", "Nothing", 1.0..=2.0).unwrap(), None);
        assert_eq!(asked.whole("wait", "The wait", 1..=100).unwrap(), Some(90));
        for wrong in ["far", "nan", "word"] {
            let refused = asked.number(wrong, "It", 1.0..=3600.0).unwrap_err().to_string();
            assert_eq!(refused, "It must be a number from 1 to 3\u{202f}600.");
        }
        assert!(asked.whole("users", "Users", 1..=5).unwrap_err().to_string().contains("whole"));
    }
}
