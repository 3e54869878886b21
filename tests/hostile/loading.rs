//! What a file does when it is loaded: whatever it holds, there is an answer that names the file, in bounded memory, and
//! the host serves meanwhile.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pawl_plugin::{Error, Grant, Plugin};
use pawl_tests::hostile::{Beside, Home, alone, assembled, component, peak, section, well};
use serde_json::{Value, json};

/// A small component with most of what a component can have.
fn small() -> Result<Vec<u8>> {
    let wit = "package test:small; interface i { record r { a: string, b: list<u8> } variant v { x, y(r) }
        /// Said.
        f: func(a: r, b: v) -> result<string, v>; } world w { export i; export g: func(); }";
    let module = "(module (memory (export \"memory\") 1) (table 1 funcref) (global (mut i32) (i32.const 0))
        (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
        (func (export \"test:small/i#f\") (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16))
        (func (export \"g\")) (data (i32.const 64) \"data\"))";
    component(wit, module)
}

/// Loads bytes as a file; a refusal must name it and be fit to print.
fn load(home: &Home, bytes: &[u8]) -> Result<Option<Plugin>> {
    match home.load("hostile", bytes, "") {
        Ok(plugin) => Ok(Some(plugin)),
        Err(error) => {
            let cause = error.downcast_ref::<Error>().context("another kind of error")?;
            ensure!(
                matches!(
                    cause,
                    Error::NotAComponent { .. } | Error::Component { .. } | Error::Imports { .. }
                ),
                "{cause:?}"
            );
            let text = cause.to_string();
            ensure!(
                text.contains("hostile.wasm") && text.len() < 8 << 10,
                "{} bytes: {text:.2000}",
                text.len()
            );
            ensure!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
            Ok(None)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_truncation_of_a_component_is_answered() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let whole = small()?;
    ensure!(load(&home, &whole)?.is_some(), "the whole component loads");
    for length in 0..whole.len() {
        // A component cut after a section is one; it exports less.
        if let Some(plugin) = load(&home, &whole[..length])? {
            ensure!(plugin.tools().len() <= 2, "{length}");
        }
    }
    let built = std::fs::read(pawl_tests::plugins::guest("hostile"))?;
    let exports_last = built.len() - built.len() / 8;
    for part in 1..64 {
        ensure!(load(&home, &built[..exports_last * part / 64])?.is_none(), "{part}/64 of a component");
    }
    well(&healthy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_of_a_component_can_be_wrong() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let whole = small()?;
    let arguments = json!({"a": {"a": "", "b": []}, "b": "x"});
    for at in 0..whole.len() {
        for wrong in [whole[at] ^ 1, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = wrong;
            if let Some(plugin) = load(&home, &bytes)? {
                // Whatever it has become, calls end.
                for tool in plugin.tools() {
                    let _ = plugin.call(&tool.function, &arguments).await;
                    let _ = plugin.call(&tool.function, &json!({})).await;
                }
            }
        }
    }
    well(&healthy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_are_answered() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let mut state = 1_u64;
    let mut random = |length: usize| -> Vec<u8> {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    };
    for length in [1, 7, 8, 9, 100, 10_000, 1_000_000] {
        for head in [
            &b""[..],
            b"\0asm",
            b"\0asm\x01\0\0\0",
            b"\0asm\x0d\0\x01\0",
            b"\0asm\x0d\0\x01\0\x01",
            b"PK\x03\x04",
        ] {
            for _ in 0..8 {
                let bytes = [head, &random(length)].concat();
                ensure!(load(&home, &bytes)?.is_none(), "{length} random bytes after {head:?}");
            }
        }
    }
    well(&healthy).await
}

#[test]
fn what_is_no_component_is_refused_and_named_for_what_it_is() -> Result<()> {
    let home = Home::new()?;
    let module = wat("(module (func (export \"f\")))")?;
    // A stored zip entry of a module: local header, name, content.
    let mut zip = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    for length in [module.len() as u32, module.len() as u32] {
        zip.extend_from_slice(&length.to_le_bytes());
    }
    zip.extend_from_slice(b"\x0a\0\0\0plugin.wasm");
    zip.extend_from_slice(&module);
    let mut gzip = b"\x1f\x8b\x08\0\0\0\0\0".to_vec();
    gzip.extend_from_slice(&module);
    let only_head = b"\0asm\x0d\0\x01\0";
    for (bytes, said) in [
        (&b""[..], "empty"),
        (b"not a component, however long this line may be", "it begins with"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "89 50 4e 47"),
        (&module, "a core module"),
        (&zip, "a zip archive"),
        (&gzip, "1f 8b 08"),
        (b"(component)", "WebAssembly text"),
        (only_head, "exports no function"),
    ] {
        let error = home.load("hostile", bytes, "").err().context(said)?.to_string();
        ensure!(error.contains(said) && error.contains("hostile.wasm"), "{said}: {error}");
    }
    Ok(())
}

fn wat(text: &str) -> Result<Vec<u8>> {
    assembled(text)
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_none_or_never_end_are_refused_without_reading_them() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let folder = home.folder.path();
    std::os::unix::fs::symlink("/dev/zero", folder.join("zero.wasm"))?;
    std::os::unix::fs::symlink("loop.wasm", folder.join("loop.wasm"))?;
    std::fs::create_dir(folder.join("folder.wasm"))?;
    let fifo = std::process::Command::new("mkfifo").arg(folder.join("fifo.wasm")).status()?;
    ensure!(fifo.success(), "mkfifo: {fifo}");
    std::fs::File::create(folder.join("sparse.wasm"))?.set_len(1 << 40)?;
    for (name, said) in [
        ("zero", "not a regular file"),
        ("loop", "loop.wasm"),
        ("folder", "not a regular file"),
        ("fifo", "not a regular file"),
        ("sparse", "134217728"),
        ("absent", "absent.wasm"),
    ] {
        let path = folder.join(format!("{name}.wasm"));
        let error = home.load_file(&path, name, "", Grant::default()).err().context(name)?.to_string();
        ensure!(error.contains(said), "{name}: {error}");
        // A manifest comes from the same archive.
        let manifest = folder.join(format!("{name}-manifest.toml"));
        if path.symlink_metadata().is_ok() && name != "sparse" {
            std::fs::rename(&path, &manifest)?;
            ensure!(pawl_plugin::Manifest::read(&manifest).is_err(), "{name} as a manifest");
        }
    }
    well(&healthy).await
}

#[test]
fn a_giant_custom_section_is_neither_kept_nor_copied() -> Result<()> {
    alone("loading::a_giant_custom_section_is_neither_kept_nor_copied", async || {
        let home = Home::new()?;
        let healthy = home.healthy()?;
        let mut component = small()?;
        section(&mut component, "name", &vec![0; 64 << 20]);
        section(&mut component, "something else", &vec![1; 32 << 20]);
        let path = home.file("giant.wasm", &component)?;
        drop(component);
        let before = peak()?;
        let plugin = home.load_file(&path, "giant", "", Grant::default())?;
        ensure!(plugin.call("g", &json!({})).await == Ok(Value::Null), "it works");
        let grown = peak()? - before;
        ensure!(grown < 256 << 20, "the host grew by {grown} bytes for 96 MiB of custom sections");
        drop(plugin);
        well(&healthy).await
    })
}

#[test]
fn documentation_of_ten_megabytes_is_left_out() -> Result<()> {
    alone("loading::documentation_of_ten_megabytes_is_left_out", async || {
        let home = Home::new()?;
        let healthy = home.healthy()?;
        let doc =
            format!("package test:small; interface i {{ {} g: func(); }}", "/// word\n".repeat(1 << 20));
        let many = |component: &mut Vec<u8>| (0..200_000).for_each(|_| section(component, "pawl:wit", b""));
        let large = |component: &mut Vec<u8>| section(component, "pawl:wit", doc.as_bytes());
        let zeros = |component: &mut Vec<u8>| section(component, "pawl:wit", &vec![0; 10 << 20]);
        let small = small()?;
        // The WIT that the encoder put in is read where nothing else is there.
        let plain = load(&home, &small)?.context("it loads")?;
        for add in [&many as &dyn Fn(&mut Vec<u8>), &large, &zeros] {
            let mut component = small.clone();
            add(&mut component);
            let before = peak()?;
            let plugin = load(&home, &component)?.context("documentation refuses no component")?;
            let grown = peak()? - before;
            ensure!(grown < 64 << 20, "the host grew by {grown} bytes");
            ensure!(plugin.tools().len() == plain.tools().len(), "{:?}", plugin.tools());
        }
        well(&healthy).await
    })
}

/// A component that exports functions of these types without any code: it takes them from an import of itself.
fn exporting(types: &str, functions: &str) -> Result<Vec<u8>> {
    let wit = format!("package test:wide; interface i {{ {types} {functions} }} world w {{ export i; }}");
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("wide.wit", &wit)?;
    let world = resolve.select_world(&[package], Some("w"))?;
    let mut module = wit_component::dummy_module(&resolve, world, wit_parser::ManglingAndAbi::Standard32);
    wit_component::embed_component_metadata(
        &mut module,
        &resolve,
        world,
        wit_component::StringEncoding::UTF8,
    )?;
    let mut component = wit_component::ComponentEncoder::default().module(&module)?.encode()?;
    section(&mut component, "pawl:wit", wit.as_bytes());
    Ok(component)
}

/// All bytes of all schemas, as they would go into prompts and answers.
fn written(plugin: &Plugin) -> usize {
    plugin.tools().iter().map(|tool| tool.parameters.to_string().len() + tool.result.to_string().len()).sum()
}

#[test]
fn schemas_of_ten_megabytes_are_refused_with_the_bound() -> Result<()> {
    alone("loading::schemas_of_ten_megabytes_are_refused_with_the_bound", async || {
        let home = Home::new()?;
        let healthy = home.healthy()?;
        // An interface may have a megabyte of types at most to be valid; what they become is the host's to bound.
        let long: Vec<String> = (0..4).map(|n| format!("{}{n}: u8", "a".repeat(90_000))).collect();
        let long = exporting(&format!("record r {{ {} }}", long.join(", ")), "f: func(x: r); g: func();")?;
        let cases: Vec<String> = (0..10_000).map(|n| format!("a-case-of-very-many-cases-{n}")).collect();
        let many = format!("enum e {{ {} }}", cases.join(", "));
        let many = exporting(&many, "f: func(x: list<e>); g: func();")?;
        // Types that are written out where they are used, in 60 functions, with what is said of them each time.
        let said = format!("/// {}\n", "word ".repeat(100));
        let mut types = format!("{said}type t0 = u8;");
        for n in 1..=11 {
            types += &format!("{said}type t{n} = tuple<t{0}, t{0}>;", n - 1);
        }
        let functions: String = (0..60).map(|n| format!("do-{n}: func(x: t11);")).collect();
        let spread = exporting(&types, &format!("{functions} g: func();"))?;
        for (what, component) in [("long", long), ("many", many), ("spread", spread)] {
            let before = peak()?;
            let plugin = load(&home, &component)?.context("`g` is a tool")?;
            let grown = peak()? - before;
            ensure!(grown < 128 << 20, "{what}: the host grew by {grown} bytes");
            ensure!(written(&plugin) <= 4 << 20, "{what}: schemas of {} bytes", written(&plugin));
            let excluded = plugin.excluded();
            ensure!(!excluded.is_empty(), "{what}: nothing is refused");
            for item in excluded {
                ensure!(item.reason.contains("bytes"), "{what}: {item:?}");
            }
            ensure!(plugin.call("g", &json!({})).await.is_err(), "a dummy traps");
        }
        well(&healthy).await
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn of_thousands_of_exports_the_first_become_tools() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let functions: String = (0..5000).map(|n| format!("do-{n}: func(x: u8) -> string;")).collect();
    let plugin = load(&home, &exporting("", &functions)?)?.context("it loads")?;
    assert_eq!(plugin.tools().len(), 256);
    ensure!(plugin.excluded().iter().any(|item| item.reason.contains("256")), "the bound is said");
    ensure!(plugin.excluded().len() <= 1024, "{} are listed", plugin.excluded().len());
    well(&healthy).await
}

#[test]
fn a_component_of_thousands_of_imports_is_refused_in_few_words() -> Result<()> {
    let home = Home::new()?;
    let imports: String = (0..5000).map(|n| format!("(import \"missing-{n}\" (func))")).collect();
    ensure!(
        load(&home, &assembled(&format!("(component {imports})"))?)?.is_none(),
        "it has nothing to offer"
    );
    Ok(())
}

#[test]
fn what_a_component_says_cannot_command_a_terminal() -> Result<()> {
    let home = Home::new()?;
    // A core import by a name of control characters, which the compiler's message repeats.
    let text = "(component (core module $m (import \"\\1b[2J\\1b]0;owned\\07\" \"\\0d\\0a\" (func)))
        (core instance (instantiate $m)))";
    ensure!(load(&home, &assembled(text)?)?.is_none(), "it does not validate");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_instance_could_hold_is_refused_when_it_is_loaded() -> Result<()> {
    let home = Home::new()?;
    let healthy = home.healthy()?;
    let with = |parts: String| {
        assembled(&format!(
            "(component (core module $m {parts} (func (export \"f\"))) (core instance $i (instantiate $m))
            (func (export \"f\") (canon lift (core func $i \"f\"))))"
        ))
    };
    for (parts, said) in [
        ("(memory 1)".repeat(9), "limit of 8"),
        ("(table 1 funcref)".repeat(17), "limit of 16"),
        ("(memory 2048)".to_owned(), "limits.memory"),
        ("(memory 65536)".to_owned(), "0x40000000 bytes"),
        ("(memory i64 17179869184)".to_owned(), "memory"),
        ("(table 100001 funcref)".to_owned(), "table"),
    ] {
        let error = home.load("hostile", &with(parts)?, "").err().context(said)?.to_string();
        ensure!(error.contains(said) && error.contains("hostile.wasm"), "{said}: {error}");
    }
    well(&healthy).await
}

#[test]
fn a_guest_whose_file_changes_after_it_was_loaded_goes_on_as_it_was() -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let home = Home::new()?;
        let file = home.file("copy.wasm", &std::fs::read(pawl_tests::plugins::guest("hostile"))?)?;
        let plugin = home.load_file(Path::new(&file), "copy", "", Grant::default())?;
        std::fs::write(&file, b"something else")?;
        well(&plugin).await
    })
}

/// Loads a component on a thread of its own while healthy calls go on; what came of it.
async fn load_beside(home: &Home, healthy: &Plugin, bytes: &[u8]) -> Result<Result<Plugin, Error>> {
    let path = home.file("bomb.wasm", bytes)?;
    let manifest = home.manifest("bomb", "")?;
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| home.host.load(&path, manifest, Grant::default()));
        let calls = Beside::start(healthy);
        while !loading.is_finished() || calls.count() < 20 {
            ensure!(!calls.failed(), "a healthy call failed while a component compiled");
            std::thread::yield_now();
        }
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| runtime.block_on(calls.end()))?;
        loading.join().map_err(|_| anyhow::anyhow!("loading panicked"))
    })
}

#[test]
fn a_compile_bomb_ends_at_the_bounds_of_the_compiler_and_the_host_serves_meanwhile() -> Result<()> {
    alone(
        "loading::a_compile_bomb_ends_at_the_bounds_of_the_compiler_and_the_host_serves_meanwhile",
        async || {
            let bomb = pawl_tests::hostile::compile_bomb()?;
            ensure!(bomb.len() < 4 << 20, "{} bytes", bomb.len());
            let program = env!("CARGO_BIN_EXE_compile-alone");
            for (time, memory, said) in [
                (Duration::from_secs(5), 4 << 30, "more than 5 s"),
                (Duration::from_secs(300), 64 << 20, "more than 64 MiB of memory"),
            ] {
                let home = Home::compiling_in(program, time, memory)?;
                let healthy = home.healthy()?;
                let before = peak()?;
                let error = load_beside(&home, &healthy, &bomb).await?.err().context("it compiled")?;
                let grown = peak()? - before;
                ensure!(matches!(&error, Error::Compiler { .. }), "{error:?}");
                ensure!(error.to_string().contains(said), "{error}");
                ensure!(grown < 64 << 20, "the host grew by {grown} bytes");
            }
            Ok(())
        },
    )
}
