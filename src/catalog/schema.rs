//! What a catalogue file may say, as JSON Schema: editors complete and check with it. Generated from the types that
//! read the YAML; what those read by hand is described here.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::agg::AggWord;
use super::file::{
    AddedSeverity, Amount, Duration, EveryEntry, ExpectedEntry, FieldEntry, FieldKind, File, FileEntry,
    InlinePart, Over, Override, PartEntry, PeriodEntry, ProfileEntry, RuleEntry, RuleTitleEntry,
    SeverityEntry, Share, TargetEntry, Weekday, WeightsEntry, WeightsMap, WholeNumber,
};
use super::model::{PeriodKind, Profile, WeightMode};
use super::severity::Grade;
use super::yaml::{Named, Tree, Written};

/// The schema of a catalogue file.
pub fn catalogue() -> Value {
    of::<File>("A file of a tautline catalogue: what the business declares")
}

/// The schema of a type, in the draft that editors know best.
pub(crate) fn of<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft07().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

/// Describes a type that reads its YAML by hand.
macro_rules! described {
    ($type:ty, $name:literal, $generator:ident => $schema:expr) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

const NUMBER: &str = "^-?[0-9][0-9_]*([.][0-9]+)?%?$";

described!(Share, "Share", _generator => json_schema!({
    "description": "a share such as 30% or 0.3",
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": "^-?[0-9]+([.][0-9]+)?%?$"}],
}));
described!(SeverityEntry, "Severity", generator => json_schema!({
    "description": "info, warning, critical, or a step that the catalogue adds",
    "anyOf": [generator.subschema_for::<Grade>(), generator.subschema_for::<AddedSeverity>()],
}));
described!(Amount, "Amount", _generator => json_schema!({
    "description": "a number such as 1_200 or 3%",
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": NUMBER}],
}));
described!(WholeNumber, "WholeNumber", _generator => json_schema!({
    "description": "a whole number such as 5_000_000",
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9][0-9_]*$"}],
}));
described!(Duration, "Time", _generator => json_schema!({
    "description": "a length of time such as 7d, 2h, 1h30m or P90D",
    "anyOf": [
        {"const": 0},
        {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w))+$"},
        {"type": "string", "pattern": "^P([0-9]+W)?([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+S)?)?$"},
    ],
}));
described!(ExpectedEntry, "Expected", generator => {
    let length = generator.subschema_for::<Duration>();
    json_schema!({"anyOf": [length, {"enum": ["learned", "never"]}]})
});
described!(AggWord, "Agg", _generator => json_schema!({
    "anyOf": [
        {"enum": super::agg::WORDS},
        {"enum": ["average", "percentile"]},
        {"type": "string", "pattern": "^p[0-9]{1,2}([.][0-9])?$"},
    ],
}));
described!(Weekday, "Weekday", _generator => json_schema!({
    "enum": [
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
        "mon", "tue", "wed", "thu", "fri", "sat", "sun",
    ],
}));
described!(FieldEntry, "Field", generator => {
    let kind = generator.subschema_for::<FieldKind>();
    json_schema!({"anyOf": [
        {"type": "string", "description": "a path such as data.amount"},
        {
            "type": "object", "additionalProperties": false, "required": ["path"],
            "properties": {"path": {"type": "string"}, "type": kind},
        },
    ]})
});
described!(PartEntry, "Part", generator => {
    let inline = generator.subschema_for::<InlinePart>();
    json_schema!({"anyOf": [{"type": "string", "description": "the name of a metric"}, inline]})
});
described!(PeriodEntry, "Period", generator => {
    let (kind, every) = (generator.subschema_for::<PeriodKind>(), generator.subschema_for::<EveryEntry>());
    json_schema!({"anyOf": [kind, every]})
});
described!(ProfileEntry, "ProfileOrFile", generator => {
    let (named, file) = (generator.subschema_for::<Profile>(), generator.subschema_for::<FileEntry>());
    json_schema!({"anyOf": [named, file]})
});
described!(Over, "Over", _generator => json_schema!({"anyOf": [
    {"const": "last_year"},
    {"type": "integer", "minimum": 1900, "maximum": 2200},
    {"type": "object", "additionalProperties": false, "required": ["value"], "properties": {"value": {"type": "number"}}},
]}));
described!(TargetEntry, "Target", generator => {
    let (share, over) = (generator.subschema_for::<Share>(), generator.subschema_for::<Over>());
    let (file, amount) = (generator.subschema_for::<FileEntry>(), generator.subschema_for::<Amount>());
    json_schema!({"anyOf": [
        {"type": "number"},
        {"type": "string", "pattern": NUMBER},
        {
            "type": "object", "additionalProperties": false, "required": ["growth", "over"],
            "properties": {"growth": share, "over": over},
        },
        {
            "type": "object", "additionalProperties": false, "required": ["band"],
            "properties": {"band": {
                "description": "the least and the most that is good", "type": "array", "minItems": 2, "maxItems": 2,
                "items": amount,
            }},
        },
        file,
    ]})
});
described!(Override, "Override", generator => {
    let rule = generator.subschema_for::<RuleEntry>();
    json_schema!({"anyOf": [{"enum": ["off", false]}, rule]})
});
described!(WeightMode, "WeightMode", _generator => json_schema!({
    "description": "what happens when the links speak for other weights",
    // Bare, the word off is false in YAML 1.1.
    "enum": ["propose", "auto", "off", false],
}));
described!(WeightsEntry, "Weights", generator => {
    let (mode, map) = (generator.subschema_for::<WeightMode>(), generator.subschema_for::<WeightsMap>());
    json_schema!({"anyOf": [mode, map]})
});
described!(RuleTitleEntry, "Title", _generator => json_schema!({"anyOf": [
    {"type": "string"},
    {
        "type": "object", "additionalProperties": false, "required": ["en", "zh"],
        "properties": {"en": {"type": "string"}, "zh": {"type": "string"}},
    },
]}));
described!(Written, "Written", _generator => json_schema!({"type": ["string", "number", "boolean"]}));
described!(Tree, "Anything", _generator => json_schema!({}));

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("NamesOf{}", T::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let each = generator.subschema_for::<T>();
        json_schema!({"type": ["object", "null"], "additionalProperties": each})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::template::SHIPPED;
    use crate::catalog::yaml;
    use crate::settings;

    /// What a schema says about a YAML text; empty when it fits.
    fn said(schema: &Value, yaml: &str) -> Vec<String> {
        let value: Value = yaml::read(&"f".into(), yaml).unwrap();
        let validator = jsonschema::validator_for(schema).unwrap();
        validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    #[test]
    fn what_ships_with_tautline_fits() {
        let (catalogue, settings) = (catalogue(), settings::schema());
        let none: Vec<String> = Vec::new();
        assert_eq!(said(&settings, include_str!("../../config/tautline.yaml")), none);
        assert_eq!(
            said(&catalogue, include_str!("../../config/catalog/shop.yaml")),
            none
        );
        assert_eq!(
            said(&catalogue, include_str!("../cli/demo/catalog/chain.yaml")),
            none
        );
        for shipped in &SHIPPED {
            assert_eq!(said(&catalogue, shipped.text), none, "{}", shipped.name);
        }
    }

    #[test]
    fn every_example_of_the_guide_fits() {
        let catalogue = catalogue();
        let guide = include_str!("../../docs/catalogue.md");
        let examples = guide
            .split("```yaml\n")
            .skip(1)
            .filter_map(|rest| rest.split("```").next());
        for example in examples.filter(|example| !example.starts_with('#')) {
            assert_eq!(said(&catalogue, example), Vec::<String>::new(), "{example}");
        }
    }

    #[test]
    fn what_the_loader_refuses_does_not_fit() {
        let (catalogue, settings) = (catalogue(), settings::schema());
        for yaml in [
            "metrcs: {}",
            "sources: {a: {topics: [t], format: jsn, fields: {}}}",
            "sources: {a: {topics: [t], format: json, feilds: {}}}",
            "sources: {a: {topics: [t], format: json, lateness: 2 hours, fields: {}}}",
            "metrics: {m: {source: a, agg: summ}}",
            "nodes: {n: {metric: m, role: kpi}}",
            "nodes: {n: {metric: m, role: kpi, period: month, target: {growth: 3%}}}",
            "nodes: {n: {metric: m, role: kpi, period: month, target: {band: [3]}}}",
            "templates: {t: {parameters: {p: {type: sauce}}}}",
            "use: {a: {tempalte: retail}}",
        ] {
            assert!(!said(&catalogue, yaml).is_empty(), "{yaml}");
        }
        for yaml in ["kafak: {}", "kafka: {broker: a}", "evaluate: {every: often}"] {
            assert!(!said(&settings, yaml).is_empty(), "{yaml}");
        }
    }
}
