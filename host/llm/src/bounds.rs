//! Numbers in JSON Schema, as far as the grammar engine can bound them.
//!
//! Invariant: bounds only ever move inwards. The engine reads bounds as f64 and counts in i64, where ±2^63 overflow and
//! integers beyond 2^53 change; here they are brought to where both are exact.

use serde_json::{Map, Value, json};

use crate::{
    Error,
    schema::{MAX_EXACT, children, refused, with_any_of},
};

/// Largest magnitude of an integer that i64 arithmetic and f64 both hold with room: 2^63 - 1024.
pub(crate) const MAX_INTEGER: i64 = i64::MAX - 1023;
/// Least common multiple of all `multipleOf`; the engine has a state for each remainder, 10 µs of compiling each.
const MAX_MULTIPLE: u64 = 50_000;

/// What a number is a multiple of where the schema does not say: six digits after the point. Without it a model can
/// write digits to the end of its tokens, and never the value. Where the schema's own bounds are less than 1 apart,
/// nothing is added.
const FRACTION: f64 = 1e-6;

/// A number between the integers' limits: finite in an f64, and written without an exponent.
pub(crate) fn finite(mut object: Map<String, Value>) -> Map<String, Value> {
    let limit = MAX_INTEGER as f64;
    for (keyword, exclusive, limit) in
        [("minimum", "exclusiveMinimum", -limit), ("maximum", "exclusiveMaximum", limit)]
    {
        let within = |v: &Value| v.as_f64().is_none_or(|bound| bound.abs() <= MAX_INTEGER as f64);
        let bounded =
            [keyword, exclusive].iter().any(|k| object.get(*k).is_some_and(|v| !v.is_boolean() && within(v)));
        if !bounded {
            object.remove(exclusive);
            object.insert(keyword.into(), limit.into());
        }
    }
    let bound = |keyword: &str, exclusive: &str| {
        object.get(keyword).or(object.get(exclusive)).and_then(Value::as_f64).unwrap_or_default()
    };
    let wide = bound("maximum", "exclusiveMaximum") - bound("minimum", "exclusiveMinimum");
    if !object.contains_key("multipleOf") && wide >= 1.0 {
        object.insert("multipleOf".into(), FRACTION.into());
    }
    object
}

/// An integer to its negative and its other half, so that it is never written `-0`.
pub(crate) fn split_integer(object: Map<String, Value>, path: &str) -> Result<Value, Error> {
    let (minimum, maximum) = integer_bounds(&object, path)?;
    let half = |minimum: i64, maximum: i64| {
        let mut half = json!({"type": "integer", "minimum": minimum, "maximum": maximum});
        if let Some(multiple) = object.get("multipleOf") {
            half["multipleOf"] = multiple.clone();
        }
        half
    };
    let mut halves = Vec::new();
    if minimum < 0 {
        halves.push(half(minimum, maximum.min(-1)));
    }
    if maximum >= 0 {
        halves.push(half(minimum.max(0), maximum));
    }
    Ok(with_any_of(object, halves))
}

/// Inclusive bounds that the engine can hold.
fn integer_bounds(object: &Map<String, Value>, path: &str) -> Result<(i64, i64), Error> {
    let exclusive = |limit: &str, keyword: &str| match object.get(keyword) {
        Some(Value::Bool(true)) => bound(object, limit, path), // draft 4
        Some(Value::Bool(false)) | None => Ok(None),
        Some(_) => bound(object, keyword, path),
    };
    let low = [
        bound(object, "minimum", path)?.map(Bound::up),
        exclusive("minimum", "exclusiveMinimum")?.map(|b| b.floor() + 1),
    ];
    let high = [
        bound(object, "maximum", path)?.map(Bound::floor),
        exclusive("maximum", "exclusiveMaximum")?.map(|b| b.up() - 1),
    ];
    let limit = i128::from(MAX_INTEGER);
    let low = low.into_iter().flatten().max().unwrap_or(-limit);
    let high = high.into_iter().flatten().min().unwrap_or(limit);
    if low > limit || high < -limit {
        let message = format!("integers beyond {MAX_INTEGER} cannot be enforced; use a string");
        return Err(refused(path, message));
    }
    let (minimum, maximum) = (inwards(low, true), inwards(high, false));
    if low > high || minimum > maximum {
        return Err(refused(path, format!("no integer that can be enforced is between {low} and {high}")));
    }
    Ok((minimum, maximum))
}

/// The nearest integer not outside the bound that an f64 holds.
fn inwards(bound: i128, up: bool) -> i64 {
    let limit = i128::from(MAX_INTEGER);
    let bound = bound.clamp(-limit, limit);
    let mut step = 1_i128;
    while bound.unsigned_abs() / step.unsigned_abs() > u128::from(MAX_EXACT) {
        step *= 2;
    }
    let floor = bound.div_euclid(step) * step;
    let moved = if up && floor != bound { floor + step } else { floor };
    moved.clamp(-limit, limit) as i64
}

/// A numeric bound as given.
#[derive(Clone, Copy)]
enum Bound {
    Whole(i128),
    Fraction(f64),
}

impl Bound {
    fn floor(self) -> i128 {
        match self {
            Bound::Whole(n) => n,
            Bound::Fraction(f) => f.floor() as i128,
        }
    }

    fn up(self) -> i128 {
        match self {
            Bound::Whole(n) => n,
            Bound::Fraction(f) => f.ceil() as i128,
        }
    }
}

fn bound(object: &Map<String, Value>, keyword: &str, path: &str) -> Result<Option<Bound>, Error> {
    let Some(value) = object.get(keyword) else { return Ok(None) };
    let whole = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from)).map(Bound::Whole);
    // 1e30 and beyond bounds nothing that i64 reaches; i128 holds it.
    let fraction = || value.as_f64().filter(|f| f.abs() < 1e30).map(Bound::Fraction);
    match whole.or_else(fraction) {
        Some(bound) => Ok(Some(bound)),
        None => {
            Err(refused(&format!("{path}/{keyword}"), format!("`{keyword}` is {value}; a number is needed")))
        }
    }
}

/// Collects every `multipleOf` and refuses what would need too many states together.
pub(crate) fn multiples_of(schema: &Value, path: &str, found: &mut Vec<f64>) -> Result<(), Error> {
    let inside = |found: &mut Vec<f64>| {
        children(schema)
            .into_iter()
            .try_for_each(|(place, child)| multiples_of(child, &place.under(path), found))
    };
    if let Some(value) = schema.get("multipleOf") {
        let place = format!("{path}/multipleOf");
        let multiple = value.as_f64().filter(|m| m.is_finite() && *m > 0.0);
        let multiple = multiple.ok_or_else(|| refused(&place, format!("`multipleOf` is {value}")))?;
        // Few different numbers have a small multiple in common, so the list stays short.
        if found.contains(&multiple) {
            return inside(found);
        }
        found.push(multiple);
        if common_multiple(found).is_none_or(|states| states > MAX_MULTIPLE) {
            let message =
                format!("`multipleOf` {value} and the others need more than {MAX_MULTIPLE} states together");
            return Err(refused(&place, message));
        }
    }
    inside(found)
}

/// Least common multiple in units of the finest decimal digit.
fn common_multiple(numbers: &[f64]) -> Option<u64> {
    let digits = (0..=9).find(|&d| numbers.iter().all(|n| (n * 10_f64.powi(d)).fract() == 0.0))?;
    numbers.iter().try_fold(1_u64, |multiple, n| {
        let n = (n * 10_f64.powi(digits)) as u64;
        let (mut a, mut b) = (multiple, n);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        (multiple / a).checked_mul(n)
    })
}
