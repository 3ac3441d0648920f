//! TypeScript to JavaScript, one feature after the other.

use super::{error, modules};
use eddy_bundle::SourceMaps;

fn output(source: &str) -> String {
    modules(&[("a.ts", source)]).remove(0).source
}

#[test]
fn types_vanish_and_await_stays() {
    insta::assert_snapshot!(output(
        r#"
import { agent, type Context } from "eddy";
interface Item { sku: string; qty?: number }
type Cart = Record<string, Item>;
export const cart = agent({
  async add(ctx: Context, { sku, qty = 1 }: Item): Promise<Cart> {
    const found = (await ctx.call<number>("stock", sku, "level", null))!;
    return { [sku]: { sku, qty: found as number } } satisfies Cart;
  },
});
declare const nothing: string;
"#
    ));
}

#[test]
fn enums_namespaces_and_parameter_properties_become_code() {
    insta::assert_snapshot!(output(
        r#"
export enum State { Open, Closed = "closed", Next = 1 << 2 }
const enum Small { A = 1 }
export namespace Money { export const cents = (euro: number) => euro * 100; }
export class Point {
  #hidden = Small.A;
  constructor(public readonly x: number, private y = 2) {}
  static origin = new Point(0);
}
"#
    ));
}

#[test]
fn syntax_that_quickjs_knows_is_left_alone() {
    insta::assert_snapshot!(output(
        r#"
export const f = async (a?: { b?: number[] }) => {
  for await (const x of a?.b ?? []) console.log(x ** 2);
  let y = null; y ??= 1n; return { ...a, y, re: /(?<n>a)/dgu };
};
"#
    ));
}

#[test]
fn every_syntax_error_is_shown_with_its_place() {
    insta::assert_snapshot!(error(&[(
        "a.ts",
        "let a = 1;\nlet a = 2;\nreturn 1;\nexport { b };\n"
    )]));
    insta::assert_snapshot!(error(&[(
        "a.ts",
        "export const f = fn((ctx {\n  return 1;\n}));\n"
    )]));
}

#[test]
fn what_cannot_run_is_refused_with_a_way_out() {
    insta::assert_snapshot!(error(&[(
        "a.tsx",
        "export const page = () => <p>hello</p>;\n"
    )]));
    insta::assert_snapshot!(error(&[("a.ts", "@sealed\nexport class A {}\n")]));
    insta::assert_snapshot!(error(&[(
        "a.ts",
        "export function f() { using a = open(); }\n"
    )]));
    insta::assert_snapshot!(error(&[(
        "a.ts",
        "export const load = (m: string) => import(m);\n"
    )]));
}

#[test]
fn stacks_name_the_users_own_lines() {
    let source = "interface A {\n  b: string;\n}\n\nexport function fail(a: A): never {\n  throw new Error(a.b);\n}\n";
    let module = modules(&[("a.ts", source)]).remove(0);
    let line = module
        .source
        .lines()
        .position(|line| line.contains("throw"))
        .expect("it is there");
    let column = module
        .source
        .lines()
        .nth(line)
        .and_then(|line| line.find("Error"));
    let column = column.expect("it is there") + 1;
    let maps = SourceMaps::new([("a.ts".to_owned(), module.source_map.expect("a map"))]);
    let stack = format!(
        "    at fail (a.ts:{}:{column})\n    at handle (eddy.js:1:1)\n",
        line + 1
    );
    assert_ne!(
        line + 1,
        6,
        "the transform moved nothing, so this test shows nothing"
    );
    let expected = "    at fail (a.ts:6:13)\n    at handle (eddy.js:1:1)\n";
    assert_eq!(maps.remap_stack(&stack), expected);
}
