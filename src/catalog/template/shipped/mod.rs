//! The templates that ship with tautline, a file each.

/// A template that ships with tautline.
#[derive(Debug)]
pub struct Shipped {
    /// The name that `use:` asks for.
    pub name: &'static str,
    /// Its YAML, as it would stand in a catalogue.
    pub text: &'static str,
}

impl Shipped {
    /// Its file, for messages.
    pub fn file(&self) -> String {
        format!("shipped/{}.yaml", self.name)
    }
}

/// All of them.
pub const SHIPPED: [Shipped; 6] = [
    Shipped {
        name: "retail",
        text: include_str!("retail.yaml"),
    },
    Shipped {
        name: "e-commerce",
        text: include_str!("e-commerce.yaml"),
    },
    Shipped {
        name: "saas",
        text: include_str!("saas.yaml"),
    },
    Shipped {
        name: "manufacturing-delivery",
        text: include_str!("manufacturing-delivery.yaml"),
    },
    Shipped {
        name: "sales-funnel",
        text: include_str!("sales-funnel.yaml"),
    },
    Shipped {
        name: "support",
        text: include_str!("support.yaml"),
    },
];
