//! The plane that a page is drawn on: matrices, areas, colours (ISO 32000-1, 8.3 and 8.6).
//!
//! Invariant: numbers from a file become finite here.

use hayro_syntax::object::{Name, Number, Object};
use hayro_syntax::page::Resources;

pub(super) type Matrix = [f64; 6];
pub(super) const IDENTITY: Matrix = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];

/// `a`, then `b`.
pub(super) fn concat(a: Matrix, b: Matrix) -> Matrix {
    [
        a[0] * b[0] + a[1] * b[2],
        a[0] * b[1] + a[1] * b[3],
        a[2] * b[0] + a[3] * b[2],
        a[2] * b[1] + a[3] * b[3],
        a[4] * b[0] + a[5] * b[2] + b[4],
        a[4] * b[1] + a[5] * b[3] + b[5],
    ]
}

pub(super) fn apply(m: Matrix, x: f64, y: f64) -> (f64, f64) {
    (m[0] * x + m[2] * y + m[4], m[1] * x + m[3] * y + m[5])
}

/// Red, green, blue from 0 to 1; none where it is not known, such as a pattern.
pub(super) type Colour = Option<[f64; 3]>;

/// x0, y0, x1, y1.
pub(super) type Area = [f64; 4];

pub(super) fn grow(area: &mut Option<Area>, (x, y): (f64, f64)) {
    let old = area.unwrap_or([x, y, x, y]);
    *area = Some([old[0].min(x), old[1].min(y), old[2].max(x), old[3].max(y)]);
}

pub(super) fn finite(number: &Number) -> f64 {
    let value = number.as_f64();
    if value.is_finite() { value.clamp(-1e7, 1e7) } else { 0.0 }
}

pub(super) fn colour(numbers: &[f64]) -> Colour {
    match numbers {
        [gray] => Some([*gray; 3]),
        [red, green, blue] => Some([*red, *green, *blue]),
        [c, m, y, k] => Some([c, m, y].map(|ink| 1.0 - (ink + k).min(1.0))),
        _ => None,
    }
}

/// Whether the components of a colour space are gray, red-green-blue or cyan-magenta-yellow-black.
pub(super) fn known_space(resources: &Resources<'_>, name: &Name<'_>) -> bool {
    if name.as_str().starts_with("Device") || name.as_str().starts_with("Cal") {
        return true;
    }
    match resources.get_color_space(name) {
        Some(Object::Name(name)) => name.as_str().starts_with("Device"),
        Some(Object::Array(parts)) => {
            let family = parts.iter::<Name<'_>>().next();
            family.is_some_and(|family| {
                matches!(family.as_str(), "ICCBased" | "CalRGB" | "CalGray" | "DeviceRGB" | "DeviceGray")
            })
        }
        _ => false,
    }
}
