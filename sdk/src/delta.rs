//! The queue of deltas between a reflector and its store: ordered, bounded, with back-pressure.
