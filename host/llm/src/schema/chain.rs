//! What leads to what: how deep the grammar engine, which recurses, comes from one name to the next.
//!
//! Nothing here recurses.

/// The names in groups, each after the groups that it leads to; names that lead to one another are one group.
pub(crate) fn groups(leads_to: &[Vec<usize>]) -> Vec<Vec<usize>> {
    // Tarjan's algorithm, with a stack of its own.
    const NEW: usize = usize::MAX;
    let mut met = vec![NEW; leads_to.len()];
    let mut lowest = vec![NEW; leads_to.len()];
    let mut is_open = vec![false; leads_to.len()];
    let (mut open, mut path, mut all, mut count) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for start in 0..leads_to.len() {
        if met[start] == NEW {
            path.push((start, 0));
        }
        while let Some((at, next)) = path.pop() {
            if met[at] == NEW {
                (met[at], lowest[at]) = (count, count);
                count += 1;
                open.push(at);
                is_open[at] = true;
            }
            if let Some(&to) = leads_to[at].get(next) {
                path.push((at, next + 1));
                if met[to] == NEW {
                    path.push((to, 0));
                } else if is_open[to] {
                    lowest[at] = lowest[at].min(met[to]);
                }
                continue;
            }
            if let Some(&(above, _)) = path.last() {
                lowest[above] = lowest[above].min(lowest[at]);
            }
            if lowest[at] == met[at] {
                let begin = open.iter().rposition(|name| *name == at).unwrap_or(0);
                let group = open.split_off(begin);
                group.iter().for_each(|name| is_open[*name] = false);
                all.push(group);
            }
        }
    }
    all
}

/// How deep it goes from each name, with what each name on the way costs. Of names that lead to one another every one
/// counts, once: whichever the engine begins with, it comes to none of them twice.
pub(crate) fn depths(costs: &[usize], leads_to: &[Vec<usize>]) -> Vec<usize> {
    let mut depths = vec![0; costs.len()];
    for group in groups(leads_to) {
        let own: usize = group.iter().map(|name| costs[*name]).sum();
        // Those of the group itself have no depth yet.
        let on = group.iter().flat_map(|name| &leads_to[*name]).map(|to| depths[*to]).max();
        for name in group {
            depths[name] = own + on.unwrap_or(0);
        }
    }
    depths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_way_counts_and_a_circle_once() {
        // 0 → 1 → 2 ⇄ 3 → 4, 0 → 4, 5 by itself.
        let leads_to = [vec![4, 1], vec![2], vec![3], vec![2, 4], vec![], vec![5]];
        assert_eq!(depths(&[1, 1, 1, 1, 1, 1], &leads_to), [5, 4, 3, 3, 1, 1]);
        assert_eq!(depths(&[1, 1, 10, 1, 7, 2], &leads_to), [20, 19, 18, 18, 7, 2]);
    }

    #[test]
    fn a_chain_of_any_length_takes_no_stack() {
        let leads_to: Vec<Vec<usize>> = (1..=200_000).map(|to| vec![to % 200_000]).collect();
        assert_eq!(depths(&vec![1; 200_000], &leads_to)[7], 200_000);
        assert_eq!(groups(&leads_to).len(), 1);
    }
}
