//! Single cases of what the machine decides.
