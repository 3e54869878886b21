//! The functions that a statement for a server may call.
//!
//! Invariant: none reads or changes anything but its arguments, the clock and chance; none waits, locks, signals, speaks to
//! another server, or takes a text that is SQL. PostgreSQL's and MySQL's manuals, "Functions and Operators".

/// What both have, with the meaning that standard SQL gives.
const BOTH: &str = "
    abs acos ascii asin atan atan2 avg bit_and bit_length bit_or bit_xor cast ceil ceiling char_length character_length coalesce
    concat concat_ws cos cot count cume_dist current_date current_time current_timestamp date degrees dense_rank exp extract
    first_value floor format greatest json_array json_object lag last_value lead least left length ln localtime localtimestamp log
    log10 lower lpad ltrim max md5 min mod now nth_value ntile nullif octet_length overlay percent_rank pi position pow power
    radians rank regexp_instr regexp_like regexp_replace regexp_substr repeat replace reverse right round row_number rpad rtrim
    sign sin sqrt stddev stddev_pop stddev_samp strcmp substr substring sum tan trim trunc upper var_pop var_samp variance";

const POSTGRES: &str = "
    acosd acosh age any_value array_agg array_append array_cat array_dims array_length array_lower array_ndims array_position
    array_positions array_prepend array_remove array_replace array_to_json array_to_string array_upper asind asinh atand atanh
    bool_and bool_or btrim bpchar cardinality cbrt chr clock_timestamp corr cosd cosh covar_pop covar_samp date_bin date_part
    date_trunc decode div encode every factorial gcd gen_random_uuid generate_series generate_subscripts initcap isfinite
    json_agg json_array_elements json_array_elements_text json_array_length json_build_array json_build_object json_each
    json_each_text json_extract_path json_extract_path_text json_object_agg json_object_keys json_strip_nulls json_typeof
    jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each
    jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_agg jsonb_object_keys
    jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_set
    jsonb_strip_nulls jsonb_typeof justify_days justify_hours justify_interval lcm lower_inc lower_inf make_date make_interval
    make_time make_timestamp make_timestamptz min_scale mode normalize num_nonnulls num_nulls numrange int4range int8range
    daterange tsrange tstzrange isempty range_agg range_merge upper_inc upper_inf percentile_cont percentile_disc
    phraseto_tsquery plainto_tsquery quote_ident quote_literal quote_nullable random regexp_count regexp_match regexp_matches
    regexp_split_to_array regexp_split_to_table regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx
    regr_sxy regr_syy row_to_json scale sha224 sha256 sha384 sha512 sind sinh split_part starts_with statement_timestamp
    string_agg string_to_array string_to_table strpos tand tanh timezone to_char to_date to_hex to_json to_jsonb to_number
    to_timestamp to_tsquery to_tsvector transaction_timestamp translate trim_array trim_scale ts_headline ts_rank ts_rank_cd
    unnest websearch_to_tsquery width_bucket timeofday";

const MYSQL: &str = "
    adddate addtime any_value bin bit_count char collation conv convert convert_tz crc32 curdate curtime date_add
    date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear elt export_set field find_in_set from_base64
    from_days from_unixtime get_format group_concat grouping hex hour if ifnull inet_aton inet_ntoa insert instr isnull
    json_arrayagg json_array_append json_array_insert json_contains json_contains_path json_depth json_extract json_insert
    json_keys json_length json_merge_patch json_merge_preserve json_objectagg json_overlaps json_pretty json_quote json_remove
    json_replace json_search json_set json_type json_unquote json_valid json_value last_day lcase locate log2 make_set makedate
    maketime microsecond mid minute month monthname oct ord period_add period_diff quarter quote rand sec_to_time second sha sha1
    sha2 soundex space std str_to_date subdate substring_index subtime sysdate time time_format time_to_sec timediff timestamp
    timestampadd timestampdiff to_base64 to_days to_seconds truncate ucase uncompressed_length unhex unix_timestamp utc_date
    utc_time utc_timestamp uuid values week weekday weekofyear weight_string year yearweek median";

use crate::Dialect;

pub(crate) fn known(name: &str, dialect: Dialect) -> bool {
    let own = if dialect == Dialect::Mysql { MYSQL } else { POSTGRES };
    BOTH.split_ascii_whitespace().chain(own.split_ascii_whitespace()).any(|known| known == name)
}

/// Those that a server may find where somebody made a function called `made`: in names of routines it takes letters with
/// accents and without, small and capital, for the same, so a letter beyond ASCII may be any.
#[cfg(feature = "mysql")]
pub(crate) fn taken_for(made: &str) -> impl Iterator<Item = &'static str> + '_ {
    let known = BOTH.split_ascii_whitespace().chain(MYSQL.split_ascii_whitespace());
    known.filter(|known| {
        made.chars().count() == known.len()
            && made
                .chars()
                .zip(known.chars())
                .all(|(made, known)| !made.is_ascii() || made.eq_ignore_ascii_case(&known))
    })
}
