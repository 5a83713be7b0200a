//! Two operators in one module, one owning what the other reconciles.
use kubewright::declare::{OwnedBy, Primary};
use kubewright::{CustomResource, Operator};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Fleet", namespaced)]
#[operator(owns(Ship))]
pub struct FleetSpec {
    pub size: u32,
}

#[derive(Operator, CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "demo.kubewright.dev", version = "v1", kind = "Ship", namespaced)]
#[operator(watches(Fleet, by = spec.fleet))]
pub struct ShipSpec {
    pub fleet: String,
}

#[test]
fn each_has_its_own_declaration() {
    fn owned<C: OwnedBy<P>, P: Primary>() {}
    owned::<Ship, Fleet>();
    assert_eq!((Fleet::declaration().name, Ship::declaration().name), ("fleet", "ship"));
    let _accessors = (FleetContext::ships, FleetContext::fleets, ShipContext::ships, ShipContext::fleets);
}
