//! Walks the field paths that attributes name.
