//! YAML to [`super::Catalog`].
