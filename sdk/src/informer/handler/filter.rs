//! Handlers that see a part of what their informer holds.
use std::collections::HashSet;

use crate::informer::event::FinalState;
use crate::resource::{Kind, ObjectKey};

use super::{Deleted, Handle, ResourceEventHandler};

/// Tells a handler only of the objects that pass a filter (client-go's `FilteringResourceEventHandler`).
///
/// An object that comes to pass is added, one that no longer passes is deleted, and one that passes before and after is
/// updated. What the handler was told of is remembered by key, so that it is told of the end of every object it knows
/// and of no other, whatever the filter says of the final state, and even if the filter's answer changes over time: a
/// change of mind shows with the next event of an object.
///
/// The keys that pass take some 100 bytes each. Where the API server can select, a label or field selector of the
/// informer keeps the others from being sent and cached at all.
///
/// ```
/// use k8s_openapi::api::core::v1::ConfigMap;
/// use kubewright::informer::handler::{FilteringEventHandler, Handle, ResourceEventHandler};
///
/// fn ours<H: ResourceEventHandler<ConfigMap>>(handler: H) -> impl ResourceEventHandler<ConfigMap> {
///     FilteringEventHandler::new(|map: &Handle<ConfigMap>| map.key().name().starts_with("our-"), handler)
/// }
/// ```
#[derive(Debug)]
pub struct FilteringEventHandler<F, H> {
    filter: F,
    handler: H,
    /// The keys of the objects that the handler was told of.
    told: HashSet<ObjectKey>,
}

impl<F, H> FilteringEventHandler<F, H> {
    /// Tells `handler` of the objects for which `filter` returns true.
    pub fn new(filter: F, handler: H) -> Self {
        Self { filter, handler, told: HashSet::new() }
    }
}

impl<K, F, H> ResourceEventHandler<K> for FilteringEventHandler<F, H>
where
    K: Kind,
    F: Fn(&Handle<K>) -> bool + Send + 'static,
    H: ResourceEventHandler<K>,
{
    fn on_add(&mut self, object: Handle<K>, is_in_initial_list: bool) {
        if (self.filter)(&object) {
            self.told.insert(object.key().clone());
            self.handler.on_add(object, is_in_initial_list);
        }
    }

    fn on_update(&mut self, old: Handle<K>, new: Handle<K>) {
        match (self.told.contains(new.key()), (self.filter)(&new)) {
            (true, true) => self.handler.on_update(old, new),
            (true, false) => {
                self.told.remove(new.key());
                self.handler.on_delete(Deleted { last: old, final_state: FinalState::Known });
            }
            (false, true) => {
                self.told.insert(new.key().clone());
                self.handler.on_add(new, false);
            }
            (false, false) => {}
        }
    }

    fn on_initial_list_end(&mut self) {
        self.handler.on_initial_list_end();
    }

    fn on_delete(&mut self, object: Deleted<K>) {
        if self.told.remove(object.last.key()) {
            self.handler.on_delete(object);
        }
    }
}
