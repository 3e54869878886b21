//! The sample shop: a small SQLite database that the project makes itself, so that a fresh machine has
//! something worth asking about and every test knows the right figures.
//!
//! Invariant: the file is a function of this source alone (own generator, no clock, no environment), and it
//! is whole or absent: written beside its place and renamed. Amounts are computed in cents and stored as EUR
//! with two decimals; an order's `total` is the sum of its items, and a cancelled order has none, so that
//! revenue is `sum(total)` whether or not cancelled orders are left out.

#![expect(clippy::inconsistent_digit_grouping, reason = "money is written in cents, 289_00")]

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

/// Why the sample shop could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SampleError {
    /// The folder or the file could not be made, replaced or renamed.
    #[error("sample shop {path}: {source}; make the folder writable or choose another with PAWL_HOME")]
    File {
        /// The file or folder at fault.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite refused to write.
    #[error("sample shop {path}: {source}; is the disk full?")]
    Database {
        /// The file at fault.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// Writes the sample shop to `path`, replacing what is there; makes the folder when it is missing.
/// The same bytes every time for one version of this source and of SQLite.
pub(crate) fn write_shop(path: &Path) -> Result<(), SampleError> {
    let file_error = |at: &Path| {
        let at = at.to_path_buf();
        move |source| SampleError::File { path: at, source }
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(file_error(folder))?;
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{}.part", std::process::id()));
    let unfinished = PathBuf::from(unfinished);
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(file_error(&unfinished)(error));
        }
        _ => {}
    }
    let written = fill(&unfinished)
        .map_err(|source| SampleError::Database { path: unfinished.clone(), source })
        .and_then(|()| std::fs::rename(&unfinished, path).map_err(file_error(path)));
    if written.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

const TABLES: &str = "
CREATE TABLE regions ( -- sales regions
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);
CREATE TABLE customers ( -- companies that buy
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  email TEXT NOT NULL UNIQUE,
  region_id INTEGER NOT NULL REFERENCES regions(id),
  signed_up TEXT NOT NULL
);
CREATE TABLE products ( -- what the shop sells
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  category TEXT NOT NULL,
  price REAL NOT NULL -- list price in 2026, in EUR
);
CREATE TABLE orders ( -- one row per order; a cancelled order has no items and total 0
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers(id),
  ordered_at TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('completed', 'shipped', 'cancelled')),
  total REAL NOT NULL -- revenue of the order, in EUR
);
CREATE TABLE order_items ( -- the products of each order
  id INTEGER PRIMARY KEY,
  order_id INTEGER NOT NULL REFERENCES orders(id),
  product_id INTEGER NOT NULL REFERENCES products(id),
  quantity INTEGER NOT NULL,
  unit_price REAL NOT NULL, -- price as sold, in EUR
  line_total REAL NOT NULL -- quantity * unit_price, in EUR
);
CREATE INDEX orders_by_customer ON orders(customer_id);
CREATE INDEX order_items_by_order ON order_items(order_id);
";

const SEED: u64 = 20_250_101;
const ORDERS: usize = 1_500;
/// 1 January 2025 to 22 November 2026, both included.
const DAYS: u64 = 691;
/// Orders of the last days are on their way.
const SHIPPED_FROM: u64 = DAYS - 9;

/// Name and how many customers of a hundred live there.
const REGIONS: [(&str, u64); 5] = [("North", 26), ("South", 22), ("East", 15), ("West", 25), ("Central", 12)];

/// How busy each month is, of 100, and the categories that its season favours are in [`favoured`].
const SEASON: [u64; 12] = [74, 72, 88, 96, 98, 92, 80, 78, 100, 112, 146, 164];

/// Name, category, list price in cents, popularity.
const PRODUCTS: [(&str, &str, u64, u64); 40] = [
    ("House Blend 1 kg", "Coffee", 18_90, 10),
    ("Espresso Roast 1 kg", "Coffee", 21_50, 9),
    ("Single Origin Sampler", "Coffee", 27_00, 5),
    ("Decaf 1 kg", "Coffee", 19_90, 4),
    ("Filter Papers, box of 400", "Coffee", 9_80, 7),
    ("Hand Grinder", "Coffee", 64_00, 3),
    ("Pour-over Set", "Coffee", 48_50, 3),
    ("Breakfast Tea, 100 bags", "Tea", 11_20, 8),
    ("Green Tea, loose 500 g", "Tea", 23_40, 6),
    ("Mint Infusion, 100 bags", "Tea", 12_60, 5),
    ("Winter Spice Tea, 100 bags", "Tea", 13_90, 4),
    ("Cast-iron Teapot", "Tea", 72_00, 2),
    ("Tea Chest, 12 sorts", "Tea", 39_90, 3),
    ("Stoneware Mugs, set of 6", "Kitchen", 42_00, 6),
    ("Water Carafe", "Kitchen", 26_50, 5),
    ("Kettle 1.7 l", "Kitchen", 79_00, 4),
    ("Induction Pan 28 cm", "Kitchen", 84_90, 3),
    ("Cutlery, set of 24", "Kitchen", 96_00, 3),
    ("Storage Jars, set of 5", "Kitchen", 34_70, 4),
    ("Bread Knife", "Kitchen", 31_20, 3),
    ("Desk Chair", "Furniture", 289_00, 5),
    ("Standing Desk", "Furniture", 549_00, 3),
    ("Bookshelf", "Furniture", 219_00, 3),
    ("Meeting Table", "Furniture", 690_00, 2),
    ("Stackable Chairs, set of 4", "Furniture", 246_00, 3),
    ("Filing Cabinet", "Furniture", 178_50, 3),
    ("Room Divider", "Furniture", 134_00, 2),
    ("Desk Lamp", "Lighting", 58_90, 6),
    ("Floor Lamp", "Lighting", 119_00, 4),
    ("Pendant Light", "Lighting", 148_00, 3),
    ("LED Panel", "Lighting", 87_40, 4),
    ("Daylight Bulbs, pack of 10", "Lighting", 44_50, 5),
    ("Lantern Set", "Lighting", 63_00, 2),
    ("Notebooks, pack of 10", "Stationery", 29_90, 8),
    ("Gel Pens, box of 50", "Stationery", 33_50, 7),
    ("Whiteboard 120 x 90", "Stationery", 112_00, 3),
    ("Copy Paper, 5 reams", "Stationery", 27_60, 9),
    ("Desk Organizer", "Stationery", 24_30, 4),
    ("Year Planner", "Stationery", 14_80, 4),
    ("Label Printer", "Stationery", 98_00, 2),
];

const CUSTOMERS: usize = 120;
const STEM_HEADS: [&str; 12] =
    ["Aldo", "Brima", "Corve", "Dalo", "Ervi", "Fenno", "Galdo", "Hesta", "Ilmo", "Jorva", "Kelmi", "Lunda"];
const STEM_TAILS: [&str; 10] =
    ["bek", "dale", "fors", "grane", "lund", "mere", "nox", "quist", "stow", "vane"];
const KINDS: [&str; 10] =
    ["Studio", "Trading", "Foods", "Hotels", "Works", "Partners", "Bakery", "Clinic", "Logistics", "School"];

/// Large accounts: customer, and how often it orders in 2025 and in 2026 (others: 3 to 14).
const LARGE: [(usize, u64, u64); 5] = [(17, 76, 64), (42, 58, 70), (88, 44, 22), (5, 18, 40), (63, 16, 10)];

struct Customer {
    /// Day of the first order that it may place; negative days are before 2025.
    signed_up: i64,
    /// How often it orders, by year.
    weight: [u64; 2],
    /// Units bought of each product, at most.
    size: u64,
}

fn fill(path: &Path) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    let mut random = Random(SEED);
    for (index, (name, _)) in REGIONS.iter().enumerate() {
        transaction.execute("INSERT INTO regions VALUES (?1, ?2)", params![index as i64 + 1, name])?;
    }
    for (index, (name, category, price, _)) in PRODUCTS.iter().enumerate() {
        let row = params![index as i64 + 1, name, category, euros(*price)];
        transaction.execute("INSERT INTO products VALUES (?1, ?2, ?3, ?4)", row)?;
    }
    let customers = fill_customers(&transaction, &mut random)?;
    fill_orders(&transaction, &customers, &mut random)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

fn fill_customers(connection: &Connection, random: &mut Random) -> rusqlite::Result<Vec<Customer>> {
    let mut insert = connection.prepare("INSERT INTO customers VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut customers = Vec::with_capacity(CUSTOMERS);
    for index in 0..CUSTOMERS {
        // 7 has no factor in common with 120: each stem once, the alphabet well mixed.
        let stem = index * 7 % CUSTOMERS;
        let stem = format!("{}{}", STEM_HEADS[stem / 10], STEM_TAILS[stem % 10]);
        let name = format!("{stem} {}", KINDS[random.below(10) as usize]);
        let email = format!("office@{}.example", stem.to_lowercase());
        let region = random.pick(REGIONS.iter().map(|(_, weight)| *weight));
        let large = LARGE.iter().find(|(customer, _, _)| *customer == index);
        // Two thirds were there before 2025.
        let signed_up = match (large, random.below(3)) {
            (None, 0) => random.below(DAYS - 40) as i64,
            _ => -(random.below(600) as i64) - 1,
        };
        let usual = 3 + random.below(12);
        let weight = large.map_or([usual, usual], |(_, first, second)| [*first, *second]);
        let size = if large.is_some() { 12 } else { 3 + random.below(6) };
        insert.execute(params![index as i64 + 1, name, email, region as i64 + 1, date(signed_up)])?;
        customers.push(Customer { signed_up, weight, size });
    }
    Ok(customers)
}

fn fill_orders(connection: &Connection, customers: &[Customer], random: &mut Random) -> rusqlite::Result<()> {
    let mut insert_order = connection.prepare("INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut insert_item = connection.prepare("INSERT INTO order_items VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let busy: Vec<u64> = (0..DAYS).map(busyness).collect();
    let mut days: Vec<u64> = (0..ORDERS).map(|_| random.pick(busy.iter().copied()) as u64).collect();
    days.sort_unstable();
    let mut item_id = 0_i64;
    for (index, day) in days.into_iter().enumerate() {
        let order_id = index as i64 + 1;
        let year = usize::from(day >= 365);
        let customer =
            random.pick(customers.iter().map(|c| if c.signed_up <= day as i64 { c.weight[year] } else { 0 }));
        let cancelled = random.below(50) == 0;
        let items =
            if cancelled { Vec::new() } else { order_items(random, day, year, customers[customer].size) };
        let total: u64 = items.iter().map(|item| item.quantity * item.unit_price).sum();
        let status = match cancelled {
            true => "cancelled",
            false if day >= SHIPPED_FROM => "shipped",
            false => "completed",
        };
        let row = params![order_id, customer as i64 + 1, date(day as i64), status, euros(total)];
        insert_order.execute(row)?;
        for Item { product, quantity, unit_price } in items {
            item_id += 1;
            let line = euros(quantity * unit_price);
            let row = params![item_id, order_id, product, quantity as i64, euros(unit_price), line];
            insert_item.execute(row)?;
        }
    }
    Ok(())
}

struct Item {
    /// Row id in `products`.
    product: i64,
    quantity: u64,
    /// Cents.
    unit_price: u64,
}

/// One to five different products.
fn order_items(random: &mut Random, day: u64, year: usize, size: u64) -> Vec<Item> {
    let lines = 1 + random.pick([18, 29, 26, 16, 11]);
    let month = civil(day as i64).1;
    let mut weights: Vec<u64> = PRODUCTS
        .iter()
        .map(|(_, category, _, weight)| weight * if favoured(category, month) { 8 } else { 5 })
        .collect();
    let mut items = Vec::with_capacity(lines);
    for _ in 0..lines {
        let product = random.pick(weights.iter().copied());
        weights[product] = 0;
        let list_price = PRODUCTS[product].2;
        // Prices rose by four hundredths at the turn of the year.
        let unit_price = if year == 0 { list_price * 96 / 100 } else { list_price };
        // Furniture is bought by the piece.
        let most = if list_price > 100_00 { size.div_ceil(4) } else { size };
        items.push(Item { product: product as i64 + 1, quantity: 1 + random.below(most), unit_price });
    }
    items
}

/// Whether a category sells better than usual in a month.
fn favoured(category: &str, month: u64) -> bool {
    match category {
        "Tea" | "Lighting" => month >= 10 || month <= 2,
        "Furniture" => matches!(month, 3..=5 | 9),
        "Stationery" => matches!(month, 1 | 8 | 9),
        _ => false,
    }
}

/// How many orders to expect on a day, relative to others: season, growth of about a quarter a year, weekends quiet.
fn busyness(day: u64) -> u64 {
    let season = SEASON[civil(day as i64).1 as usize - 1];
    // 1 January 2025 was a Wednesday.
    let weekday = (day + 2) % 7;
    season * (1_500 + day) * if weekday >= 5 { 2 } else { 5 }
}

fn euros(cents: u64) -> f64 {
    cents as f64 / 100.0
}

fn date(day: i64) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month and day of a day counted from 1 January 2025, by Howard Hinnant's `civil_from_days`.
fn civil(day: i64) -> (i64, u64, u64) {
    // 20 089 days from 1970 to 2025, 719 468 from 1 March of year 0 to 1970.
    let days = day + 20_089 + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u64, (of_year - (153 * shifted + 2) / 5 + 1) as u64)
}

/// SplitMix64 (Steele, Lea and Flood 2014): small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `bound - 1`; the bias of the remainder does not matter here.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// An index, each as often as its weight says; the weights' sum is not 0.
    fn pick(&mut self, weights: impl IntoIterator<Item = u64> + Clone) -> usize {
        let mut left = self.below(weights.clone().into_iter().sum());
        let found = weights.into_iter().position(|weight| match left.checked_sub(weight) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
        found.unwrap_or_default()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot write its file has failed")]
mod tests {
    use super::*;

    fn shop() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/shop.sqlite");
        write_shop(&path).unwrap();
        let connection = Connection::open(path).unwrap();
        (folder, connection)
    }

    fn one<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> T {
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn top_customers(connection: &Connection, condition: &str) -> Vec<(String, f64)> {
        let sql = format!(
            "SELECT c.name, sum(o.total) FROM orders o JOIN customers c ON c.id = o.customer_id \
             WHERE o.ordered_at LIKE '2025%' {condition} GROUP BY c.id ORDER BY 2 DESC LIMIT 4"
        );
        let mut statement = connection.prepare(&sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn the_same_bytes_every_time_and_an_old_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a.sqlite"), folder.path().join("b.sqlite"));
        std::fs::write(&second, b"something old").unwrap();
        write_shop(&first).unwrap();
        write_shop(&second).unwrap();
        assert!(std::fs::read(&first).unwrap() == std::fs::read(&second).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing unfinished is left");
    }

    #[test]
    fn amounts_sum_exactly_and_references_hold() {
        let (_folder, shop) = shop();
        let disagreeing = "SELECT count(*) FROM orders o WHERE round(o.total * 100) <> \
             (SELECT coalesce(sum(round(i.line_total * 100)), 0) FROM order_items i WHERE i.order_id = o.id)";
        assert_eq!(one::<i64>(&shop, disagreeing), 0);
        let lines = "SELECT count(*) FROM order_items \
             WHERE round(line_total * 100) <> quantity * round(unit_price * 100) OR quantity < 1";
        assert_eq!(one::<i64>(&shop, lines), 0);
        assert_eq!(one::<i64>(&shop, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
        let early = "SELECT count(*) FROM orders o JOIN customers c ON c.id = o.customer_id \
             WHERE o.ordered_at < c.signed_up";
        assert_eq!(one::<i64>(&shop, early), 0);
        let cancelled = "SELECT count(*) FROM orders WHERE (status = 'cancelled') <> (total = 0)";
        assert_eq!(one::<i64>(&shop, cancelled), 0);
    }

    #[test]
    fn size_and_dates_are_as_announced() {
        let (_folder, shop) = shop();
        assert_eq!(one::<String>(&shop, "SELECT min(ordered_at) FROM orders"), "2025-01-01");
        assert_eq!(one::<String>(&shop, "SELECT max(ordered_at) FROM orders"), "2026-11-22");
        assert_eq!(
            one::<i64>(&shop, "SELECT count(*) FROM orders WHERE date(ordered_at) IS NOT ordered_at"),
            0
        );
        assert_eq!(one::<i64>(&shop, "SELECT count(*) FROM orders"), 1_500);
        assert_eq!(one::<i64>(&shop, "SELECT count(*) FROM customers"), 120);
        assert_eq!(one::<i64>(&shop, "SELECT count(*) FROM products"), 40);
        assert_eq!(one::<i64>(&shop, "SELECT count(DISTINCT category) FROM products"), 6);
        assert_eq!(one::<i64>(&shop, "SELECT count(DISTINCT region_id) FROM customers"), 5);
        let items: i64 = one(&shop, "SELECT count(*) FROM order_items");
        assert!((3_800..4_200).contains(&items), "{items}");
        let cancelled: i64 = one(&shop, "SELECT count(*) FROM orders WHERE status = 'cancelled'");
        assert!((10..60).contains(&cancelled), "{cancelled}");
    }

    #[test]
    fn the_best_customers_of_2025_are_clear_with_and_without_cancelled_orders() {
        let (_folder, shop) = shop();
        let all = top_customers(&shop, "");
        assert_eq!(all, top_customers(&shop, "AND o.status <> 'cancelled'"));
        for pair in all.windows(2) {
            assert!(pair[0].1 > pair[1].1 * 1.15, "{all:?}");
        }
    }

    #[test]
    fn the_year_has_seasons_and_the_shop_grows() {
        let (_folder, shop) = shop();
        let revenue = |from: &str, to: &str| -> f64 {
            one(
                &shop,
                &format!(
                    "SELECT sum(total) FROM orders WHERE ordered_at >= '{from}' AND ordered_at < '{to}'"
                ),
            )
        };
        let quarters = [
            revenue("2025-01-01", "2025-04-01"),
            revenue("2025-04-01", "2025-07-01"),
            revenue("2025-07-01", "2025-10-01"),
            revenue("2025-10-01", "2026-01-01"),
        ];
        assert!(quarters[3] > quarters[0] * 1.3, "{quarters:?}");
        assert!(revenue("2026-01-01", "2026-10-01") > quarters[..3].iter().sum::<f64>() * 1.1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"").unwrap();
        let error = write_shop(&folder.path().join("file/shop.sqlite")).unwrap_err().to_string();
        assert!(error.contains("file") && error.contains("PAWL_HOME"), "{error}");
    }
}
