//! The simulation itself: the same seed gives the same log, many seeds hold, and every rule broken
//! on purpose is noticed.
//!
//! `EDDY_SIM_SEEDS` says how many seeds to run, `EDDY_SIM_FROM` where to start.

mod mutations;
mod seeds;
