/**
 * The members of the public types, which an editor completes: a member that only this package needs cannot become
 * public unnoticed. Read from the sources by the compiler.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { ModifierFlags } from "typescript/unstable/ast";
import { API, type Symbol as Named, SymbolFlags } from "typescript/unstable/sync";
import { ROOT } from "../../../../test/docs/markdown.ts";
import { MEMBERS } from "./members.ts";

const api = new API({ cwd: ROOT });
after(() => api.close());
const config = join(ROOT, "tsconfig.json");
const project = api.updateSnapshot({ openProjects: [config] }).getProject(config);
assert.ok(project !== undefined, `${config} was not opened`);
const { checker, program } = project;

/** The exports of an entry point, by name, with aliases resolved. */
function exportsOf(file: string): Map<string, Named> {
  const source = program.getSourceFile(join(ROOT, "packages/polloi/src", file));
  const module = source && checker.getSymbolAtLocation(source);
  assert.ok(module !== undefined, `${file} was not read`);
  const all = checker.getExportsOfModule(module).map((it): [string, Named] => {
    return [it.name, (it.flags & SymbolFlags.Alias) !== 0 ? checker.getAliasedSymbol(it) : it];
  });
  return new Map(all);
}

/** The members that code outside of the class can use. */
function publicMembersOf(type: Named): Named[] {
  return checker
    .getPropertiesOfType(checker.getDeclaredTypeOfSymbol(type))
    .filter(({ name }) => !name.startsWith("__#"))
    .filter((it) => !it.getJsDocTags(checker).some(({ name }) => name === "internal"))
    .filter(({ declarations }) =>
      declarations.every((it) => {
        const { modifierFlags = 0 } = (it.resolve() ?? {}) as { modifierFlags?: number };
        return (modifierFlags & (ModifierFlags.Private | ModifierFlags.Protected)) === 0;
      }),
    );
}

/** `[Symbol.dispose]` for the name that the compiler gives to it. */
function nameOf({ name }: Named): string {
  return name.replace(/^__@(\w+)@\d+$/, "[Symbol.$1]");
}

/** Whether the member is declared in this package, and not in a library. */
function isOwn({ declarations }: Named): boolean {
  return declarations.some(({ path }) => !path.includes("node_modules"));
}

function isType({ flags }: Named): boolean {
  return (flags & (SymbolFlags.Interface | SymbolFlags.Class)) !== 0;
}

/** Whether it has a comment. The constants of the kernel are documented by its man pages. */
function isDocumented(symbol: Named): boolean {
  if (/^[A-Z][A-Z0-9_]+$/.test(symbol.name)) return true;
  return symbol.getDocumentationComment(checker) !== "" || symbol.getJsDocTags(checker).length > 0;
}

for (const [entry, { file, types: expected }] of Object.entries(MEMBERS)) {
  const exported = exportsOf(file);
  const types = [...exported].filter(([, it]) => isType(it));

  test(`the classes and interfaces of ${entry} have the expected members, and no others`, () => {
    const found = types.map(([name, it]) => [
      name,
      publicMembersOf(it).map(nameOf).sort().join(" "),
    ]);
    assert.deepEqual(Object.fromEntries(found.sort()), expected);
  });

  test(`every export and every method of ${entry} is documented`, () => {
    const missing = [...exported].flatMap(([name, it]) => {
      const own = isDocumented(it) ? [] : [name];
      if (!isType(it)) return own;
      const silent = publicMembersOf(it)
        .filter((each) => (each.flags & SymbolFlags.Method) !== 0 && isOwn(each))
        .filter((each) => !each.name.startsWith("__@") && !isDocumented(each));
      return [...own, ...silent.map((each) => `${name}.${each.name}`)];
    });
    assert.deepEqual(missing, []);
  });
}
