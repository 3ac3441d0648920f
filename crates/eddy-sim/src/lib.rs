//! eddy-sim
