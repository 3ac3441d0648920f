//! eddy-node
