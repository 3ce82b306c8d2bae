use std::path::Path;

use super::*;

fn erased(source: &str) -> String {
    let text = erase(source, "a.ts").unwrap();
    assert_eq!(text.lines().count(), source.lines().count(), "{text}");
    text
}

/// Without the blanks, for comparing.
fn words(source: &str) -> String {
    let all: Vec<String> = erased(source).split_whitespace().map(str::to_string).collect();
    all.join(" ")
}

#[test]
fn types_become_blanks() {
    let source =
        "let a: number = 1, b!: string;\nfunction f<T>(this: X, a?: T, ...r: T[]): void {}";
    let text = erased(source);
    assert_eq!(text.len(), source.len());
    assert_eq!(text.find("= 1"), source.find("= 1"));
    let text = words(source);
    assert_eq!(text, "let a = 1, b ; function f ( a , ...r ) {}");
    assert_eq!(words("const x = y as any as Foo<Bar>;"), "const x = y ;");
    assert_eq!(words("x!.y!(); (z as any).q = <any>w;"), "x .y (); (z ).q = w;");
    assert_eq!(words("const o = { a: 1 } satisfies T;"), "const o = { a: 1 } ;");
    assert_eq!(words("f<string>(new Map<string, number[]>());"), "f (new Map ());");
}

#[test]
fn declarations_of_types_go() {
    assert_eq!(words("type A = { b: string };\ninterface B { c(): void }\nx();"), "; ; x();");
    assert_eq!(words("declare const a: string;\nexport type B = A;\nexport {}"), "; ; export {}");
    assert_eq!(words("function f(a: string): void;\nfunction f(a: any) {}"), "; function f(a ) {}");
    assert_eq!(words("export default interface A {}"), ";");
    assert_eq!(
        words("interface A {} const b = 1; export { A, b };"),
        "; const b = 1; export { b };"
    );
}

#[test]
fn classes_keep_what_runs() {
    let source = "export abstract class A<T> extends B<T> implements C, D {
        private readonly x?: number = 1; declare y: string; abstract z(): void; [key: string]: any;
        static override async m(): Promise<void> {}
        constructor(private a: string, readonly b = 2) { super(a); }
    }";
    let text = words(source);
    let wanted = "export class A extends B { x = 1; ; ; ; static async m() {} constructor( a , b \
                  = 2) { super(a);; this.a = a; this.b = b; } }";
    assert_eq!(text, wanted);
    assert_eq!(
        words("class A { constructor(public a: number) {} }"),
        "class A { constructor( a ) { this.a = a;} }"
    );
}

#[test]
fn imports_of_types_go() {
    let source = "import a, { B, type C, d } from './x';\nimport type { E } from './y';
        import { F } from './z';\nimport * as g from './g';\nimport './side';
        let v: B = d; a; export type { F };";
    let text = words(source);
    assert_eq!(text, "import a, { d } from './x'; ; ; ; import './side'; let v = d; a; ;");
    assert_eq!(words("import a, * as b from 'x'; b;"), "import * as b from 'x'; b;");
    assert_eq!(words("import a, * as b from 'x'; a;"), "import a from 'x'; a;");
}

#[test]
fn arrows_stay_on_their_line() {
    let text = erased("const f = (a: number): {\n  b: string\n} => ({ b: `${a}` });");
    let arrow = text.lines().find(|line| line.contains("=>")).unwrap();
    assert!(arrow.contains(") =>"), "{text}");
    assert_eq!(words("const f = async <T,>(a: T): Promise<T> => a;"), "const f = async (a ) => a;");
}

#[test]
fn enums_become_objects() {
    let text = erased("export enum A {\n  X, Y = 5,\n  Z, W = 'w', V = Y | 2,\n}\nx();");
    assert!(text.starts_with("export var A = ((A) => { A[A[\"X\"] = 0] = \"X\";"), "{text}");
    assert!(text.contains("A[A[\"Z\"] = A[\"Y\"] + 1] = \"Z\"; A[\"W\"] = 'w';"), "{text}");
    assert!(text.contains("const Y = A[\"Y\"];"), "{text}");
    assert_eq!(text.lines().nth(4), Some("x();"));
}

#[test]
fn says_where_and_what() {
    let error = erase("let a: string = 1;\n  let = = 2;", "/t/a.ts").unwrap_err();
    assert!(error.to_string().contains("/t/a.ts:2:"), "{error}");
    for (source, what) in [
        ("namespace A { export const b = 1; }", "namespaces"),
        ("@d class A {}", "decorators"),
        ("import a = require('b');", "import ... ="),
    ] {
        let error = erase(source, "a.ts").unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("a.ts:1:1"), "{error}");
    }
    assert!(is_typescript(Path::new("a.ts")) && !is_typescript(Path::new("a.js")));
}
