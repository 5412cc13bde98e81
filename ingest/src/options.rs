//! The options of a submission, read alike from the query, a form or JSON, once, into [`Options`].

use pipeline::event::{Aspect, Captions, Options};
use serde_json::Value as Json;
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Kind, Problem, repeated, shorten};
use crate::source_url;

/// How the clips are to be made. Every option may be given in the query, as a form field or as a JSON member.
#[derive(Default, Debug, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OptionFields {
    /// How many clips at the most.
    #[schema(minimum = 1, maximum = 20, default = 3)]
    #[param(minimum = 1, maximum = 20, default = 3)]
    pub clips: Option<u32>,
    /// The shortest clip, in seconds.
    #[schema(minimum = 3, maximum = 180, default = 10)]
    #[param(minimum = 3, maximum = 180, default = 10)]
    pub min_clip_s: Option<f64>,
    /// The longest clip, in seconds; at least `min_clip_s`.
    #[schema(minimum = 3, maximum = 180, default = 30)]
    #[param(minimum = 3, maximum = 180, default = 30)]
    pub max_clip_s: Option<f64>,
    /// The shape of the picture: `9:16`, `1:1`, `4:5` or `16:9`.
    #[schema(default = "9:16", pattern = "^(9:16|1:1|4:5|16:9)$")]
    #[param(default = "9:16", pattern = "^(9:16|1:1|4:5|16:9)$")]
    pub aspect: Option<String>,
    /// The height of the picture, in pixels, even.
    #[schema(minimum = 240, maximum = 2160, multiple_of = 2, default = 1280)]
    #[param(minimum = 240, maximum = 2160, multiple_of = 2, default = 1280)]
    pub height: Option<u32>,
    /// What happens with the words: `none`, `file` (a WebVTT file) or `burn` (drawn into the picture, and the file).
    #[schema(default = "file", pattern = "^(none|file|burn)$")]
    #[param(default = "file", pattern = "^(none|file|burn)$")]
    pub captions: Option<String>,
    /// Plan each ten minutes on their own, so that first clips come early.
    #[schema(default = false)]
    #[param(default = false)]
    pub early: Option<bool>,
    /// The spoken language, ISO 639-1, or `auto`.
    #[schema(default = "en", pattern = "^([a-z]{2}|auto)$")]
    #[param(default = "en", pattern = "^([a-z]{2}|auto)$")]
    pub language: Option<String>,
    /// Asks for the priority lane; without a right to it the video goes to the lane of its length.
    #[schema(default = false)]
    #[param(default = false)]
    pub priority: Option<bool>,
    /// Where to tell that the video ended: an http(s) URL.
    #[schema(max_length = 2048, format = "uri")]
    #[param(max_length = 2048, format = "uri")]
    pub callback_url: Option<String>,
    /// What to call the video; a form's file brings its own name.
    #[schema(max_length = 200)]
    #[param(max_length = 200)]
    pub name: Option<String>,
}

/// Every option's name, for messages.
pub const NAMES: &str =
    "clips, min_clip_s, max_clip_s, aspect, height, captions, early, language, priority, callback_url, name";

/// An option's value as it came.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// From a query or form.
    Text(&'a str),
    /// From a JSON body.
    Json(&'a Json),
}

impl OptionFields {
    /// Takes one option. A JSON `null` is as good as nothing.
    ///
    /// # Errors
    /// When there is no such option, it was given before, or its value is of the wrong type.
    pub fn set(&mut self, name: &str, value: Value<'_>) -> Result<(), Problem> {
        if matches!(value, Value::Json(Json::Null)) {
            return if NAMES.split(", ").any(|known| known == name) { Ok(()) } else { Err(unknown(name)) };
        }
        match name {
            "clips" => put(&mut self.clips, name, value.whole()),
            "min_clip_s" => put(&mut self.min_clip_s, name, value.number()),
            "max_clip_s" => put(&mut self.max_clip_s, name, value.number()),
            "aspect" => put(&mut self.aspect, name, value.text()),
            "height" => put(&mut self.height, name, value.whole()),
            "captions" => put(&mut self.captions, name, value.text()),
            "early" => put(&mut self.early, name, value.truth()),
            "language" => put(&mut self.language, name, value.text()),
            "priority" => put(&mut self.priority, name, value.truth()),
            "callback_url" => put(&mut self.callback_url, name, value.text()),
            "name" => put(&mut self.name, name, value.text()),
            _ => Err(unknown(name)),
        }
    }

    /// Checks what was asked for and fills in the rest.
    ///
    /// # Errors
    /// Names the option that is wrong and what it may be.
    pub fn finish(&self) -> Result<Options, Problem> {
        let standard = Options::default();
        let min_given = self.min_clip_s.map(|s| milliseconds("min_clip_s", s)).transpose()?;
        let max_given = self.max_clip_s.map(|s| milliseconds("max_clip_s", s)).transpose()?;
        // One bound given beyond the other's default moves that other: asking for 8 s at the most is no contradiction.
        let min_clip_ms = min_given.unwrap_or(standard.min_clip_ms.min(max_given.unwrap_or(u32::MAX)));
        let max_clip_ms = max_given.unwrap_or(standard.max_clip_ms.max(min_given.unwrap_or(0)));
        let aspect = one_of("aspect", self.aspect.as_deref(), Aspect::from_name, "9:16, 1:1, 4:5 or 16:9")?;
        let captions = one_of("captions", self.captions.as_deref(), Captions::from_name, "none, file or burn")?;
        if let Some(url) = &self.callback_url {
            source_url::check(url).map_err(|why| invalid("callback_url", why))?;
        }
        let options = Options {
            clips: self.clips.unwrap_or(standard.clips),
            min_clip_ms,
            max_clip_ms,
            aspect: aspect.unwrap_or(standard.aspect()) as i32,
            height: self.height.unwrap_or(standard.height),
            captions: captions.unwrap_or(standard.captions()) as i32,
            early: self.early.unwrap_or(false),
            language: self.language.clone().unwrap_or(standard.language),
            priority: self.priority.unwrap_or(false),
            callback_url: self.callback_url.clone(),
        };
        options.check().map_err(|e| invalid(e.option, e.expected))?;
        Ok(options)
    }
}

fn put<T>(place: &mut Option<T>, name: &str, value: Result<T, &'static str>) -> Result<(), Problem> {
    let value = value.map_err(|expected| invalid(name, expected))?;
    if place.replace(value).is_some() {
        return Err(repeated(name));
    }
    Ok(())
}

fn one_of<T>(
    name: &str,
    given: Option<&str>,
    find: fn(&str) -> Option<T>,
    expected: &str,
) -> Result<Option<T>, Problem> {
    given.map(|text| find(text).ok_or_else(|| invalid(name, expected))).transpose()
}

fn milliseconds(name: &str, seconds: f64) -> Result<u32, Problem> {
    let milliseconds = (seconds * 1000.0).round();
    if (0.0..=f64::from(u32::MAX)).contains(&milliseconds) {
        Ok(milliseconds as u32)
    } else {
        Err(invalid(name, "3 to 180 seconds"))
    }
}

fn invalid(name: &str, expected: &str) -> Problem {
    Problem::of_option(Kind::InvalidOption, name, format!("{name} must be {expected}."))
}

fn unknown(name: &str) -> Problem {
    let detail = match name {
        "url" => "A url is sent as a JSON body, {\"url\": ...} with content type application/json.".to_owned(),
        _ => format!("There is no option {:?}; there are: {NAMES}.", shorten(name)),
    };
    Problem::of_option(Kind::UnknownOption, name, detail)
}

impl Value<'_> {
    fn whole(self) -> Result<u32, &'static str> {
        let number = match self {
            Value::Text(text) => text.parse().ok(),
            Value::Json(json) => json.as_u64().and_then(|n| n.try_into().ok()),
        };
        number.ok_or("a whole number")
    }

    fn number(self) -> Result<f64, &'static str> {
        let number = match self {
            Value::Text(text) => text.parse().ok(),
            Value::Json(json) => json.as_f64(),
        };
        number.filter(|n| n.is_finite()).ok_or("a number of seconds")
    }

    fn truth(self) -> Result<bool, &'static str> {
        let truth = match self {
            Value::Text("true" | "1") => Some(true),
            Value::Text("false" | "0") => Some(false),
            Value::Text(_) => None,
            Value::Json(json) => json.as_bool(),
        };
        truth.ok_or("true or false")
    }

    fn text(self) -> Result<String, &'static str> {
        let text = match self {
            Value::Text(text) => Some(text),
            Value::Json(json) => json.as_str(),
        };
        text.map(str::to_owned).ok_or("a text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(given: &[(&str, Json)], expected: Result<Options, (Kind, &str)>) {
        let mut fields = OptionFields::default();
        let set = given.iter().try_for_each(|(name, value)| fields.set(name, Value::Json(value)));
        let found = set.and_then(|()| fields.finish());
        assert_eq!(found.map_err(|p| p.kind()), expected.map_err(|(kind, _)| kind));
    }

    #[test]
    fn every_name_is_taken_and_null_is_nothing() {
        for name in NAMES.split(", ") {
            check(&[(name, Json::Null)], Ok(Options::default()));
        }
        check(&[("colour", Json::Null)], Err((Kind::UnknownOption, "colour")));
    }

    #[test]
    fn text_and_json_mean_the_same() {
        let given = [("clips", json!(5)), ("min_clip_s", json!(7.5)), ("early", json!(true)), ("aspect", json!("1:1"))];
        let mut fields = OptionFields::default();
        for (name, value) in &given {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            fields.set(name, Value::Text(&text)).expect("an option");
        }
        let options = fields.finish().expect("options");
        assert_eq!((options.clips, options.min_clip_ms, options.early), (5, 7500, true));
        check(&given, Ok(options));
    }

    #[test]
    fn wrong_types_values_and_repetitions_are_refused() {
        check(&[("clips", json!("five"))], Err((Kind::InvalidOption, "clips")));
        check(&[("clips", json!(0))], Err((Kind::InvalidOption, "clips")));
        check(&[("clips", json!(2.5))], Err((Kind::InvalidOption, "clips")));
        check(&[("min_clip_s", json!(-1))], Err((Kind::InvalidOption, "min_clip_s")));
        check(&[("min_clip_s", json!(1e300))], Err((Kind::InvalidOption, "min_clip_s")));
        check(&[("callback_url", json!("file:///etc/passwd"))], Err((Kind::InvalidOption, "callback_url")));
        check(&[("height", json!(720)), ("height", json!(720))], Err((Kind::DuplicateOption, "height")));
    }

    #[test]
    fn one_bound_moves_the_others_default() {
        let bounds = |min_clip_ms, max_clip_ms| Options { min_clip_ms, max_clip_ms, ..Options::default() };
        check(&[("max_clip_s", json!(8))], Ok(bounds(8_000, 8_000)));
        check(&[("min_clip_s", json!(60))], Ok(bounds(60_000, 60_000)));
        check(&[("min_clip_s", json!(60)), ("max_clip_s", json!(8))], Err((Kind::InvalidOption, "max_clip_s")));
    }
}
