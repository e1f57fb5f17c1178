//! pixel
