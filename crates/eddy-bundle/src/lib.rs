//! eddy-bundle
