//! Random WIT types, for properties that must hold for every type. The end-to-end tests take this file by its path.

use proptest::prelude::*;

/// A WIT type.
#[derive(Debug, Clone)]
pub(crate) enum Wit {
    Plain(&'static str),
    Enum(usize),
    Flags(usize),
    List(Box<Wit>),
    Option(Box<Wit>),
    Tuple(Vec<Wit>),
    Record(Vec<Wit>),
    Variant(Vec<Option<Wit>>),
    Result(Box<Option<Wit>>, Box<Option<Wit>>),
}

const PLAIN: &[&str] =
    &["bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string"];

/// Types nested a few deep.
pub(crate) fn wit() -> impl Strategy<Value = Wit> {
    let leaf = prop_oneof![
        6 => prop::sample::select(PLAIN).prop_map(Wit::Plain),
        1 => (1..5_usize).prop_map(Wit::Enum),
        1 => (1..5_usize).prop_map(Wit::Flags),
    ];
    leaf.prop_recursive(4, 20, 4, |inner| {
        let optional = || prop::option::of(inner.clone());
        prop_oneof![
            inner.clone().prop_map(|ty| Wit::List(ty.into())),
            inner.clone().prop_map(|ty| Wit::Option(ty.into())),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Wit::Tuple),
            prop::collection::vec(inner.clone(), 1..5).prop_map(Wit::Record),
            prop::collection::vec(optional(), 1..5).prop_map(Wit::Variant),
            (optional(), optional()).prop_map(|(ok, err)| Wit::Result(ok.into(), err.into())),
        ]
    })
}

/// The WIT text of a type; types that need a name are added to `named`.
pub(crate) fn text(ty: &Wit, named: &mut Vec<String>) -> String {
    let list =
        |types: &[Wit], named: &mut Vec<String>| types.iter().map(|ty| text(ty, named)).collect::<Vec<_>>();
    let names = |prefix: &str, count: usize| {
        (0..count).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>().join(", ")
    };
    let declared = |body: String, keyword: &str, named: &mut Vec<String>| {
        let name = format!("t{}", named.len());
        named.push(format!("{keyword} {name} {{ {body} }}"));
        name
    };
    match ty {
        Wit::Plain(name) => (*name).to_owned(),
        Wit::Enum(count) => declared(names("case", *count), "enum", named),
        Wit::Flags(count) => declared(names("flag", *count), "flags", named),
        Wit::List(ty) => format!("list<{}>", text(ty, named)),
        Wit::Option(ty) => format!("option<{}>", text(ty, named)),
        Wit::Tuple(types) => format!("tuple<{}>", list(types, named).join(", ")),
        Wit::Record(types) => {
            let fields = list(types, named).into_iter().enumerate();
            let fields: Vec<String> = fields.map(|(index, ty)| format!("field{index}: {ty}")).collect();
            declared(fields.join(", "), "record", named)
        }
        Wit::Variant(cases) => {
            let cases = cases.iter().enumerate().map(|(index, ty)| match ty {
                Some(ty) => format!("case{index}({})", text(ty, named)),
                None => format!("case{index}"),
            });
            let cases = cases.collect::<Vec<_>>().join(", ");
            declared(cases, "variant", named)
        }
        Wit::Result(ok, err) => match (&**ok, &**err) {
            (None, None) => "result".to_owned(),
            (Some(ok), None) => format!("result<{}>", text(ok, named)),
            (None, Some(err)) => format!("result<_, {}>", text(err, named)),
            (Some(ok), Some(err)) => {
                let ok = text(ok, named);
                format!("result<{ok}, {}>", text(err, named))
            }
        },
    }
}
