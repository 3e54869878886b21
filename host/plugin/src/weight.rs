//! What a plugin costs the host: how many turns a call takes, and what a result becomes when it is lifted.
//!
//! A turn is the default's worth of everything that calls share: 64 MiB of linear memory, 1 MiB of result, 2 memories
//! and 4 tables of the engine's pool. Invariant: calls that run never hold more together than all turns are worth, so
//! no call finds the pool empty, and no plugin alone holds more than half of the turns, so a full one never keeps the
//! others waiting.

use wasmtime::component::{Component, Type, Val};

use crate::engine::{MEMORIES_PER_TURN, TABLES_PER_TURN};
use crate::limits::Limits;

const MEMORY_PER_TURN: u64 = 64 << 20;
const OUTPUT_PER_TURN: u64 = 1 << 20;
/// Types that are looked at for one function; one with more is taken for the worst.
const MAX_TYPES: usize = 10_000;
/// What an allocation has beside its bytes, and the least that it has, in bytes.
const ALLOCATION: usize = 32;
/// The most that [`inflation`] gives: flags of one-letter names come to 23.
const MAX_INFLATION: usize = 32;

/// How many turns one call takes, and how many calls of the plugin run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) turns: u32,
    pub(crate) calls: usize,
}

/// The weight of a component under its limits, where there are so many turns in all.
pub(crate) fn weight(component: &Component, limits: &Limits, all: u32) -> Weight {
    let required = component.resources_required();
    let (memories, tables) = required.map_or((0, 0), |needs| (needs.num_memories, needs.num_tables));
    of(limits, memories, tables, all)
}

fn of(limits: &Limits, memories: u32, tables: u32, all: u32) -> Weight {
    let half = (all / 2).max(1);
    let wanted = [
        limits.memory.div_ceil(MEMORY_PER_TURN),
        limits.output.div_ceil(OUTPUT_PER_TURN),
        memories.div_ceil(MEMORIES_PER_TURN).into(),
        tables.div_ceil(TABLES_PER_TURN).into(),
    ];
    let wanted = wanted.into_iter().max().unwrap_or(1);
    let turns = u32::try_from(wanted).unwrap_or(half).clamp(1, half);
    let calls = u64::from(half / turns).min(limits.concurrency).max(1);
    Weight { turns, calls: usize::try_from(calls).unwrap_or(1) }
}

/// How many bytes of the host a byte that wasmtime counts while it lifts a value of this type may become, at most.
///
/// wasmtime counts the letters of a flag's name, but a string of one letter costs an allocation too, so a list of flags
/// would become twenty times what was allowed. Everything else comes to less than three times, which is left out.
pub(crate) fn inflation(ty: &Type) -> usize {
    worst(ty, &mut { MAX_TYPES }).unwrap_or(MAX_INFLATION)
}

/// None where there are too many types to look at.
fn worst(ty: &Type, left: &mut usize) -> Option<usize> {
    *left = left.checked_sub(1)?;
    let mut most = 1;
    let mut look = |ty: Type| -> Option<()> {
        most = most.max(worst(&ty, left)?);
        Some(())
    };
    match ty {
        Type::Flags(flags) => {
            let cost = |name: &str| size_of::<String>() + ALLOCATION.max(name.len() + 8);
            let held: usize = flags.names().map(cost).sum();
            let counted: usize = flags.names().map(str::len).sum();
            most = (size_of::<Val>() + held).div_ceil(size_of::<Val>() + counted);
        }
        Type::List(list) => look(list.ty())?,
        Type::Option(option) => look(option.ty())?,
        Type::Record(record) => record.fields().try_for_each(|field| look(field.ty))?,
        Type::Tuple(tuple) => tuple.types().try_for_each(look)?,
        Type::Variant(variant) => variant.cases().filter_map(|case| case.ty).try_for_each(look)?,
        Type::Result(result) => result.ok().into_iter().chain(result.err()).try_for_each(look)?,
        _ => {}
    }
    Some(most.min(MAX_INFLATION))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::MAX_CALLS;

    const ALL: u32 = MAX_CALLS as u32;

    #[test]
    fn the_defaults_take_one_turn_and_nothing_takes_more_than_half() {
        let limits = Limits::default();
        assert_eq!(of(&limits, 1, 1, ALL), Weight { turns: 1, calls: 16 });
        for (memory, output, memories, tables, turns, calls) in [
            (1 << 30, 1 << 20, 1, 1, 16, 2),
            (65 << 20, 1 << 20, 1, 1, 2, 16),
            (1 << 20, 16 << 20, 1, 1, 16, 2),
            (1 << 20, 1 << 20, 8, 1, 4, 8),
            (1 << 20, 1 << 20, 1, 16, 4, 8),
            (1 << 20, 1 << 20, 0, 0, 1, 32),
        ] {
            let limits = Limits { memory, output, concurrency: 32, ..Limits::default() };
            assert_eq!(of(&limits, memories, tables, ALL), Weight { turns, calls }, "{limits:?}");
        }
        let most = Limits { memory: 1 << 30, output: 16 << 20, concurrency: 32, ..Limits::default() };
        assert_eq!(of(&most, 8, 16, 16), Weight { turns: 8, calls: 1 });
    }
}
