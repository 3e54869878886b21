//! The shop as a component, for Pawl and for the plain wasmtime API.

/// Generated from `wit/`; see there.
mod bindings {
    #![allow(unsafe_code, unreachable_pub, dead_code, clippy::all, reason = "generated")]
    wit_bindgen::generate!({ world: "plugin", path: "wit" });
}

#[cfg(target_family = "wasm")]
mod component {
    use super::bindings;
    use bindings::exports::bench::shop::shop::{Guest, Order, Quoted};

    struct Component;

    fn inward(order: Order) -> shop::Order {
        let Order { id, customer, quantity, price, express, tags } = order;
        shop::Order { id, customer, quantity, price, express, tags }
    }

    fn outward(quote: shop::Quote) -> Quoted {
        let shop::Quote { id, label, total, tags } = quote;
        Quoted { id, label, total, tags }
    }

    impl Guest for Component {
        fn quote(order: Order) -> Quoted {
            outward(shop::quote(inward(order)))
        }

        fn quotes(orders: Vec<Order>) -> Vec<Quoted> {
            orders.into_iter().map(|order| outward(shop::quote(inward(order)))).collect()
        }

        fn shout(text: String) -> String {
            shop::shout(text)
        }
    }

    #[allow(unsafe_code, reason = "generated")]
    mod export {
        use super::{Component, bindings};
        bindings::export!(Component with_types_in bindings);
    }
}
