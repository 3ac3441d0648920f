//! eddy-journal
