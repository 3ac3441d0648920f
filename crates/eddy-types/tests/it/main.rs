//! The documents say what the code says. That there is a page per code is tested beside the codes.

mod docs;
