//! Content streams to glyphs with places (ISO 32000-1, 8 and 9), and whether a reader sees them.
//!
//! A glyph is hidden where it has no ink (render modes 3 and 7), no opacity, less than [`TINY`] points, the colour of what
//! lies under it, or a place off the page. Invariant: operators, nesting and glyphs are bounded.

use std::collections::HashMap;
use std::rc::Rc;

use hayro_syntax::content::UntypedIter;
use hayro_syntax::object::{Dict, Name, Number, Object, Stream};
use hayro_syntax::page::{Page, Resources};

use super::plane::{Area, Colour, IDENTITY, Matrix, apply, colour, concat, finite, grow, known_space};
use super::{font::Font, layout::Glyph, stream::Budget};
use crate::Error;

/// Smaller text is not for readers; in points.
const TINY: f64 = 3.0;
/// Operators of one document.
const MAX_OPERATORS: usize = 3_000_000;
/// Glyphs of one document; a page of dense text has 5,000.
const MAX_GLYPHS: usize = 400_000;
/// Forms within forms.
const MAX_FORMS: usize = 12;
const MAX_STATES: usize = 256;
/// Fills that are remembered as backgrounds, the latest.
const MAX_FILLS: usize = 400;

#[derive(Clone)]
struct State {
    ctm: Matrix,
    font: Rc<Font>,
    size: f64,
    character: f64,
    word: f64,
    scale: f64,
    leading: f64,
    rise: f64,
    mode: i64,
    colour: Colour,
    /// Whether the components of `sc` mean a colour that we know.
    plain: bool,
    opaque: bool,
}

/// What the pages of one document share.
pub(super) struct Interpreter {
    pub(super) budget: Budget,
    operators: usize,
    glyphs: usize,
    fonts: HashMap<(i32, i32), Rc<Font>>,
}

struct Canvas {
    glyphs: Vec<Glyph>,
    fills: Vec<(Area, Colour)>,
    page: Area,
}

impl Interpreter {
    pub(super) fn new() -> Interpreter {
        Interpreter {
            budget: Budget::new(),
            operators: MAX_OPERATORS,
            glyphs: MAX_GLYPHS,
            fonts: HashMap::new(),
        }
    }

    /// The glyphs of a page in the order in which they are painted.
    pub(super) fn page(&mut self, page: &Page<'_>) -> Result<Vec<Glyph>, Error> {
        let crop = page.intersected_crop_box();
        let mut canvas =
            Canvas { glyphs: Vec::new(), fills: Vec::new(), page: [crop.x0, crop.y0, crop.x1, crop.y1] };
        let mut content = Vec::new();
        match page.raw().get::<Object<'_>>("Contents") {
            Some(Object::Stream(stream)) => content = self.budget.decode(&stream)?,
            Some(Object::Array(parts)) => {
                for stream in parts.iter::<Stream<'_>>() {
                    content.extend(self.budget.decode(&stream)?);
                    content.push(b'\n');
                }
            }
            _ => {}
        }
        let state = State {
            ctm: IDENTITY,
            font: Rc::new(Font::none()),
            size: 1.0,
            character: 0.0,
            word: 0.0,
            scale: 1.0,
            leading: 0.0,
            rise: 0.0,
            mode: 0,
            colour: Some([0.0; 3]),
            plain: true,
            opaque: true,
        };
        self.run(&content, page.resources(), state, &mut canvas, 0)?;
        Ok(canvas.glyphs)
    }

    fn run(
        &mut self,
        content: &[u8],
        resources: &Resources<'_>,
        mut state: State,
        canvas: &mut Canvas,
        depth: usize,
    ) -> Result<(), Error> {
        let mut saved: Vec<State> = Vec::new();
        let (mut text, mut line) = (IDENTITY, IDENTITY);
        let mut path: Option<Area> = None;
        let mut operations = UntypedIter::new(content);
        while let Some(operation) = operations.next() {
            self.operators = self.operators.checked_sub(1).ok_or_else(|| {
                Error::Limit(format!("more than {MAX_OPERATORS} drawing operators: no résumé"))
            })?;
            let operands: Vec<&Object<'_>> = operation.operands().take(40).collect();
            let numbers: Vec<f64> = operands
                .iter()
                .filter_map(|operand| if let Object::Number(n) = operand { Some(finite(n)) } else { None })
                .collect();
            let n = |at: usize| numbers.get(at).copied().unwrap_or(0.0);
            let name = || {
                operands
                    .iter()
                    .find_map(|operand| if let Object::Name(name) = operand { Some(name) } else { None })
            };
            let operator: &[u8] = operation.operator;
            match operator {
                b"q" if saved.len() < MAX_STATES => saved.push(state.clone()),
                b"Q" => state = saved.pop().unwrap_or(state),
                b"cm" => state.ctm = concat([n(0), n(1), n(2), n(3), n(4), n(5)], state.ctm),
                b"BT" => (text, line) = (IDENTITY, IDENTITY),
                b"Tm" => {
                    line = [n(0), n(1), n(2), n(3), n(4), n(5)];
                    text = line;
                }
                b"Td" | b"TD" => {
                    if operator == b"TD" {
                        state.leading = -n(1);
                    }
                    line = concat([1.0, 0.0, 0.0, 1.0, n(0), n(1)], line);
                    text = line;
                }
                b"T*" | b"'" | b"\"" => {
                    if operator == b"\"" {
                        (state.word, state.character) = (n(0), n(1));
                    }
                    line = concat([1.0, 0.0, 0.0, 1.0, 0.0, -state.leading], line);
                    text = line;
                    self.strings(&operands, &state, &mut text, canvas)?;
                }
                b"Tj" | b"TJ" => self.strings(&operands, &state, &mut text, canvas)?,
                b"Tf" => {
                    state.size = n(0);
                    if let Some(name) = name() {
                        state.font = self.font(resources, name)?;
                    }
                }
                b"Tc" => state.character = n(0),
                b"Tw" => state.word = n(0),
                b"Tz" => state.scale = n(0) / 100.0,
                b"TL" => state.leading = n(0),
                b"Ts" => state.rise = n(0),
                b"Tr" => state.mode = n(0) as i64,
                b"g" | b"rg" | b"k" => (state.colour, state.plain) = (colour(&numbers), true),
                b"cs" => {
                    state.plain = name().is_none_or(|name| known_space(resources, name));
                    state.colour = Some([0.0; 3]);
                }
                b"sc" | b"scn" => {
                    state.colour = if state.plain && name().is_none() { colour(&numbers) } else { None }
                }
                b"gs" => {
                    let alpha = name()
                        .and_then(|name| resources.get_ext_g_state(name))
                        .and_then(|dict| dict.get::<f32>("ca"));
                    state.opaque = alpha.map_or(state.opaque, |alpha| alpha > 0.05);
                }
                b"re" => {
                    for (x, y) in [(n(0), n(1)), (n(0) + n(2), n(1) + n(3))] {
                        grow(&mut path, apply(state.ctm, x, y));
                    }
                }
                b"m" | b"l" => grow(&mut path, apply(state.ctm, n(0), n(1))),
                b"c" => grow(&mut path, apply(state.ctm, n(4), n(5))),
                b"v" | b"y" => grow(&mut path, apply(state.ctm, n(2), n(3))),
                b"f" | b"F" | b"f*" | b"B" | b"B*" | b"b" | b"b*" => {
                    if let Some(area) = path.take().filter(|_| state.opaque) {
                        canvas.fill(area, state.colour);
                    }
                }
                b"n" | b"S" | b"s" => path = None,
                b"sh" => canvas.fill(canvas.page, None),
                b"Do" => {
                    if let Some(form) = name().and_then(|name| resources.get_x_object(name)) {
                        self.object(&form, resources, &state, canvas, depth)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn object(
        &mut self,
        form: &Stream<'_>,
        outer: &Resources<'_>,
        state: &State,
        canvas: &mut Canvas,
        depth: usize,
    ) -> Result<(), Error> {
        if form.dict().get::<Name<'_>>("Subtype").is_some_and(|name| name.as_str() == "Image") {
            let mut area = None;
            for (x, y) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
                grow(&mut area, apply(state.ctm, x, y));
            }
            if let Some(area) = area {
                canvas.fill(area, None);
            }
            return Ok(());
        }
        if depth >= MAX_FORMS {
            return Err(Error::Limit(format!(
                "its drawings are nested more than {MAX_FORMS} deep, or in themselves"
            )));
        }
        let content = self.budget.decode(form)?;
        let mut inner = state.clone();
        if let Some(matrix) = form.dict().get::<hayro_syntax::object::Array<'_>>("Matrix") {
            let numbers: Vec<f64> = matrix.iter::<Number>().take(6).map(|number| finite(&number)).collect();
            if let Ok(matrix) = Matrix::try_from(numbers) {
                inner.ctm = concat(matrix, inner.ctm);
            }
        }
        match form.dict().get::<Dict<'_>>("Resources") {
            Some(own) => self.run(&content, &Resources::new(own), inner, canvas, depth + 1),
            None => self.run(&content, outer, inner, canvas, depth + 1),
        }
    }

    fn font(&mut self, resources: &Resources<'_>, name: &Name<'_>) -> Result<Rc<Font>, Error> {
        let key = resources.fonts.get_ref(name).map(|id| (id.obj_number as i32, id.gen_number));
        if let Some(font) = key.and_then(|key| self.fonts.get(&key)) {
            return Ok(font.clone());
        }
        let Some(dict) = resources.get_font(name) else { return Ok(Rc::new(Font::none())) };
        let font = Rc::new(Font::read(&dict, &mut self.budget)?);
        if let Some(key) = key.filter(|_| self.fonts.len() < 500) {
            self.fonts.insert(key, font.clone());
        }
        Ok(font)
    }

    fn strings(
        &mut self,
        operands: &[&Object<'_>],
        state: &State,
        text: &mut Matrix,
        canvas: &mut Canvas,
    ) -> Result<(), Error> {
        for operand in operands {
            match operand {
                Object::String(bytes) => self.show(bytes.as_bytes(), state, text, canvas)?,
                Object::Array(parts) => {
                    for part in parts.iter::<Object<'_>>() {
                        match part {
                            Object::String(bytes) => self.show(bytes.as_bytes(), state, text, canvas)?,
                            Object::Number(back) => {
                                let move_by = -finite(&back) / 1000.0 * state.size * state.scale;
                                *text = concat([1.0, 0.0, 0.0, 1.0, move_by, 0.0], *text);
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn show(
        &mut self,
        bytes: &[u8],
        state: &State,
        text: &mut Matrix,
        canvas: &mut Canvas,
    ) -> Result<(), Error> {
        for shown in state.font.show(bytes) {
            let wide = f64::from(shown.width) / 1000.0 * state.size;
            let advance = (wide + state.character + if shown.space { state.word } else { 0.0 }) * state.scale;
            let place = concat([1.0, 0.0, 0.0, 1.0, 0.0, state.rise], concat(*text, state.ctm));
            let end = apply(place, wide * state.scale, 0.0);
            let size = (place[2].hypot(place[3]) * state.size).abs();
            let (x, y) = (place[4], place[5]);
            let turned = place[1].abs() > place[0].abs();
            if x.is_finite() && y.is_finite() && end.0.is_finite() && end.1.is_finite() && size.is_finite() {
                let invisible = matches!(state.mode, 3 | 7)
                    || !state.opaque
                    || size < TINY
                    || canvas.unseen((x + end.0) / 2.0, y + size * 0.3, state);
                let count = shown.text.chars().count().max(1) as f64;
                for (at, c) in shown.text.chars().enumerate() {
                    self.glyphs = self.glyphs.checked_sub(1).ok_or_else(|| {
                        Error::Limit(format!(
                            "more than {MAX_GLYPHS} characters; give the pages of the résumé only"
                        ))
                    })?;
                    let part = |from: f64, to: f64, step: f64| from + (to - from) * step / count;
                    let (x0, x1, y) = if turned {
                        (part(y, end.1, at as f64), part(y, end.1, at as f64 + 1.0), -x)
                    } else {
                        (part(x, end.0, at as f64), part(x, end.0, at as f64 + 1.0), y)
                    };
                    canvas.glyphs.push(Glyph {
                        x0: x0.min(x1),
                        x1: x1.max(x0),
                        y,
                        size,
                        c,
                        hidden: invisible,
                        turned,
                    });
                }
            }
            *text = concat([1.0, 0.0, 0.0, 1.0, advance, 0.0], *text);
        }
        Ok(())
    }
}

impl Canvas {
    fn fill(&mut self, area: Area, colour: Colour) {
        if (area[2] - area[0]) * (area[3] - area[1]) > 30.0 {
            if self.fills.len() >= MAX_FILLS {
                self.fills.remove(0);
            }
            self.fills.push((area, colour));
        }
    }

    /// Whether ink at this place has the colour of what is under it, or is off the page.
    fn unseen(&self, x: f64, y: f64, state: &State) -> bool {
        let inside = |area: &Area| x >= area[0] && x <= area[2] && y >= area[1] && y <= area[3];
        if !inside(&self.page) {
            return true;
        }
        let under = self
            .fills
            .iter()
            .rev()
            .find(|(area, _)| inside(area))
            .map_or(Some([1.0; 3]), |(_, colour)| *colour);
        match (state.colour, under) {
            (Some(ink), Some(paper)) => ink.iter().zip(paper).all(|(ink, paper)| (ink - paper).abs() < 0.12),
            _ => false,
        }
    }
}
