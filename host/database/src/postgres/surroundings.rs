//! What somebody made in the database that changes how the server understands a statement.
//!
//! Invariant: whatever was made after the server was set up counts (its number is 16384 or more), in every schema, but not the
//! members of extensions: those an administrator installed as a whole.
//! <https://www.postgresql.org/docs/current/system-catalog-initial-data.html#SYSTEM-CATALOG-OID-ASSIGNMENT>

use tokio_postgres::Client;

use super::cell::Text;
use crate::policy::Surroundings;

const FUNCTIONS: &str = "
    SELECT p.proname::text, coalesce(t.typtype IN ('c', 'p', 'd'), false)
    FROM pg_catalog.pg_proc p LEFT JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]
    WHERE p.oid >= 16384 AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')";

const OPERATORS: &str = "
    SELECT DISTINCT o.oprname::text
    FROM pg_catalog.pg_operator o
    WHERE o.oid >= 16384 AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_operator'::regclass AND d.objid = o.oid AND d.deptype = 'e')";

/// Views whose rules use what somebody made, and the views over those.
const VIEWS: &str = "
    WITH RECURSIVE tainted (oid) AS (
        SELECT r.ev_class
        FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d
            ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
        WHERE d.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass) AND d.refobjid >= 16384
            AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_depend e
                WHERE e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e')
        UNION
        SELECT r.ev_class
        FROM tainted t
            JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = t.oid
                AND d.classid = 'pg_catalog.pg_rewrite'::regclass
            JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid)
    SELECT c.relname::text FROM tainted t JOIN pg_catalog.pg_class c ON c.oid = t.oid";

const ENUMS: &str = "SELECT DISTINCT t.typname::text FROM pg_catalog.pg_type t WHERE t.typtype = 'e'";

const SUPERUSER: &str = "
    SELECT r.rolsuper AND EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pg_read_all_data')
    FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";

pub(super) async fn surroundings(client: &Client) -> Result<Surroundings, tokio_postgres::Error> {
    let mut around = Surroundings::default();
    for row in client.query(FUNCTIONS, &[]).await? {
        let Text(name) = row.try_get(0)?;
        if row.try_get(1)? {
            around.methods.insert(name.clone());
        }
        around.functions.insert(name);
    }
    for row in client.query(OPERATORS, &[]).await? {
        let Text(name) = row.try_get(0)?;
        around.operators.push(name);
    }
    for row in client.query(VIEWS, &[]).await? {
        let Text(name) = row.try_get(0)?;
        around.views.insert(name);
    }
    for row in client.query(ENUMS, &[]).await? {
        let Text(name) = row.try_get(0)?;
        around.enums.insert(name);
    }
    Ok(around)
}

/// Whether the connection may do everything and can read with less.
pub(super) async fn is_superuser(client: &Client) -> Result<bool, tokio_postgres::Error> {
    match client.query_opt(SUPERUSER, &[]).await? {
        Some(row) => row.try_get(0),
        None => Ok(false),
    }
}
