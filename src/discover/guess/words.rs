//! What names suggest: of keys, in English and Chinese. A word is only a hint; the values decide.

/// The words of a key: `customerId`, `customer_id` and `Customer-ID` are `customer` and `id`.
pub(super) fn words(key: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before: Option<char> = None;
    for c in key.chars() {
        if !c.is_alphanumeric() {
            before = None;
            continue;
        }
        let starts = before.is_none_or(|before| !before.is_uppercase() && c.is_uppercase());
        if starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
        before = Some(c);
    }
    words
}

/// Whether one of the words is in a list. Chinese has no spaces: there a word of the list may stand inside.
pub(super) fn any(words: &[String], list: &[&str]) -> bool {
    words.iter().any(|word| {
        list.iter()
            .any(|known| word == known || (!known.is_ascii() && word.contains(known)))
    })
}

pub(super) const TIME: [&str; 22] = [
    "time",
    "timestamp",
    "ts",
    "at",
    "on",
    "date",
    "datetime",
    "when",
    "created",
    "updated",
    "occurred",
    "millis",
    "ms",
    "时间",
    "日期",
    "eventtime",
    "createtime",
    "created_at",
    "createdat",
    "paytime",
    "happened",
    "epoch",
];
/// Of several times the one that says when it happened is taken, not the one of a later change.
pub(super) const HAPPENED: [&str; 9] = [
    "occurred", "happened", "event", "created", "create", "paid", "ordered", "发生", "创建",
];
pub(super) const LATER: [&str; 14] = [
    "updated", "update", "modified", "deleted", "expires", "expired", "due", "deadline", "planned", "birth",
    "birthday", "received", "ingested", "更新",
];
pub(super) const EVENT_ID: [&str; 10] = [
    "id",
    "event_id",
    "eventid",
    "uuid",
    "guid",
    "message_id",
    "messageid",
    "msg_id",
    "msgid",
    "_id",
];
pub(super) const CODE: [&str; 18] = [
    "id", "ids", "uuid", "guid", "code", "no", "nr", "number", "key", "sn", "sku", "ref", "zip", "postcode",
    "编号", "编码", "代码", "号",
];
/// Whose number of different ones is worth a metric.
pub(super) const WHO: [&str; 19] = [
    "customer",
    "user",
    "buyer",
    "member",
    "visitor",
    "client",
    "account",
    "device",
    "session",
    "patient",
    "student",
    "lead",
    "driver",
    "merchant",
    "shopper",
    "subscriber",
    "客户",
    "用户",
    "会员",
];
pub(super) const KIND: [&str; 14] = [
    "type",
    "event",
    "eventtype",
    "kind",
    "action",
    "status",
    "state",
    "stage",
    "phase",
    "operation",
    "类型",
    "状态",
    "阶段",
    "事件",
];
pub(super) const DIMENSION: [&str; 42] = [
    "region",
    "area",
    "province",
    "city",
    "country",
    "district",
    "store",
    "shop",
    "channel",
    "category",
    "product",
    "line",
    "brand",
    "platform",
    "team",
    "department",
    "dept",
    "rep",
    "sales_rep",
    "segment",
    "tier",
    "level",
    "grade",
    "source",
    "campaign",
    "plan",
    "warehouse",
    "plant",
    "method",
    "priority",
    "severity",
    "reason",
    "地区",
    "区域",
    "省",
    "城市",
    "门店",
    "渠道",
    "品类",
    "产品",
    "部门",
    "团队",
];
pub(super) const MONEY: [&str; 33] = [
    "amount",
    "amt",
    "price",
    "total",
    "subtotal",
    "revenue",
    "cost",
    "costs",
    "fee",
    "fees",
    "gmv",
    "sales",
    "tax",
    "discount",
    "refund",
    "payment",
    "balance",
    "income",
    "profit",
    "turnover",
    "salary",
    "budget",
    "spend",
    "value",
    "金额",
    "价",
    "费",
    "收入",
    "销售额",
    "成本",
    "利润",
    "退款",
    "实付",
];
/// Money of one piece: an average says something, a sum does not.
pub(super) const EACH: [&str; 4] = ["price", "balance", "价", "unitprice"];
pub(super) const QUANTITY: [&str; 14] = [
    "quantity", "qty", "count", "cnt", "num", "items", "pieces", "units", "stock", "seats", "数量", "件数",
    "次数", "个数",
];
pub(super) const SHARE: [&str; 12] = [
    "rate",
    "ratio",
    "percent",
    "pct",
    "percentage",
    "share",
    "score",
    "rating",
    "nps",
    "率",
    "评分",
    "得分",
];
/// Units of time, with what is written for them.
pub(super) const DURATION: [(&[&str], &str); 5] = [
    (&["ms", "millis", "milliseconds", "毫秒"], "ms"),
    (&["seconds", "secs", "sec", "秒"], "seconds"),
    (&["minutes", "mins", "min", "分钟"], "minutes"),
    (&["hours", "hrs", "小时"], "hours"),
    (&["days", "天数"], "days"),
];
pub(super) const LENGTH: [&str; 7] = ["duration", "latency", "elapsed", "wait", "age", "时长", "耗时"];
pub(super) const CURRENCY: [&str; 6] = ["currency", "ccy", "curr", "currencycode", "币种", "货币"];
/// Currencies that names of fields say, with their ISO 4217 code.
pub(super) const CURRENCIES: [(&str, &str); 11] = [
    ("cny", "CNY"),
    ("rmb", "CNY"),
    ("人民币", "CNY"),
    ("usd", "USD"),
    ("eur", "EUR"),
    ("gbp", "GBP"),
    ("jpy", "JPY"),
    ("hkd", "HKD"),
    ("krw", "KRW"),
    ("inr", "INR"),
    ("sgd", "SGD"),
];
pub(super) const MINOR: [&str; 5] = ["cents", "cent", "fen", "pence", "minor"];
/// Names of what belongs to one person.
pub(super) const PERSONAL: [&str; 40] = [
    "phone",
    "phoneno",
    "phonenumber",
    "mobile",
    "tel",
    "telephone",
    "email",
    "mail",
    "address",
    "addr",
    "street",
    "idcard",
    "identity",
    "passport",
    "ssn",
    "birthday",
    "birth",
    "birthdate",
    "dob",
    "firstname",
    "lastname",
    "fullname",
    "realname",
    "username",
    "nickname",
    "surname",
    "ip",
    "lat",
    "lng",
    "latitude",
    "longitude",
    "iban",
    "姓名",
    "手机",
    "电话",
    "邮箱",
    "身份证",
    "地址",
    "生日",
    "银行卡",
];
/// Two words that together belong to one person.
pub(super) const PERSONAL_PAIRS: [(&str, &str); 10] = [
    ("id", "card"),
    ("first", "name"),
    ("last", "name"),
    ("full", "name"),
    ("real", "name"),
    ("user", "name"),
    ("nick", "name"),
    ("card", "number"),
    ("card", "no"),
    ("bank", "account"),
];
/// Whose name is that of a person.
pub(super) const PERSON: [&str; 16] = [
    "customer",
    "user",
    "buyer",
    "member",
    "person",
    "contact",
    "receiver",
    "recipient",
    "consignee",
    "patient",
    "student",
    "employee",
    "client",
    "guest",
    "客户",
    "用户",
];
pub(super) const NAME: [&str; 2] = ["name", "名"];

/// English for Chinese keys: names of fields are identifiers in filters and labels in Prometheus.
pub(super) const IN_ENGLISH: [(&str, &str); 24] = [
    ("金额", "amount"),
    ("销售额", "sales"),
    ("价格", "price"),
    ("单价", "price"),
    ("费用", "cost"),
    ("收入", "income"),
    ("成本", "cost"),
    ("利润", "profit"),
    ("数量", "quantity"),
    ("地区", "region"),
    ("区域", "region"),
    ("省份", "province"),
    ("城市", "city"),
    ("门店", "store"),
    ("渠道", "channel"),
    ("品类", "category"),
    ("产品", "product"),
    ("部门", "department"),
    ("团队", "team"),
    ("类型", "type"),
    ("状态", "status"),
    ("客户", "customer"),
    ("用户", "user"),
    ("币种", "currency"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_cut_into_its_words() {
        for (key, expected) in [
            ("customerId", vec!["customer", "id"]),
            ("Customer-ID", vec!["customer", "id"]),
            ("amount_cny", vec!["amount", "cny"]),
            ("订单金额", vec!["订单金额"]),
            ("__", vec![]),
        ] {
            assert_eq!(words(key), expected, "{key}");
        }
        assert!(any(&words("订单金额"), &MONEY));
        assert!(!any(&words("accounts"), &QUANTITY));
    }
}
