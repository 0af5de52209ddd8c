import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import { editConfig } from "../../../src/config/edit/edit.ts";
import type { ConfigEdit } from "../../../src/config/edit/edit-meaning.ts";
import { effectiveText, getConfigValue } from "../../../src/config/edit/effective.ts";
import { configEdit, parseConfigKey } from "../../../src/config/edit/key-path.ts";
import type { AliasConfig, ConfigFormat } from "../../../src/config/snapshot.ts";
import { describeMistakes } from "../../../src/config/values/mistakes.ts";
import { assertEach } from "../../support/assert-each.ts";
import { accepted, bytes, PLACE, refused, SHARE, where } from "../support.ts";

const ALIAS = '[[aliases]]\nname = "docs"\nshare = "CORE"\ntarget_subpath = "Projects/2026"\n';

function alias(changes: Readonly<Record<string, string | null>> = {}): string {
  const keys = { name: "docs", share: "CORE", target_subpath: "Projects/2026", ...changes };
  const lines = Object.entries(keys).flatMap(([key, value]) =>
    value === null ? [] : [`${key} = ${JSON.stringify(value)}`],
  );
  return `[[aliases]]\n${lines.join("\n")}\n`;
}

const to = (target_subpath: string): string => alias({ target_subpath });

async function aliasesOf(text: string, file?: string): Promise<readonly AliasConfig[]> {
  return (await accepted(text, file)).config.aliases;
}

test("Paths an alias is a link in Links, or where its path says, the same from TOML and YAML", async () => {
  const expected = {
    name: "docs",
    path: "/home/ann/Shares/Links/docs",
    share: "CORE",
    targetSubpath: "Projects/2026",
  };
  assert.deepEqual(await aliasesOf(SHARE + ALIAS), [expected]);
  const yaml = `shares:
  - {name: CORE, thunderbolt_host: 10.10.10.1, fallback_host: nas.local}
aliases:
  - name: docs
    share: CORE
    target_subpath: Projects/2026
`;
  assert.deepEqual(await aliasesOf(yaml, "config.yaml"), [expected]);
  const [moved] = await aliasesOf(SHARE + alias({ path: "~/Desktop/../docs/", target_subpath: "a b/ü/" }));
  assert.equal(moved?.path, "/home/ann/docs");
  assert.equal(moved?.targetSubpath, "a b/ü");
  const [rooted] = await aliasesOf(`[global]\nshares_root = "/S"\n${SHARE}${ALIAS}`);
  assert.equal(rooted?.path, "/S/Links/docs");
});

test("a share's name is the same in every Unicode composition", async () => {
  const share = SHARE.replace("CORE", "Bu\u0308ro");
  const [found] = await aliasesOf(share + alias({ share: "B\u00fcro" }));
  assert.equal(found?.share, "B\u00fcro");
});

describe("refused, with the position and the expected value", () => {
  const rows: readonly [title: string, text: string, at: string, says: RegExp][] = [
    ["`..`", to("a/../../b"), "[0].target_subpath", /could lead out of the share/],
    ["`..` alone", to(".."), "[0].target_subpath", /lead out/],
    ["`..` behind a slash at the end", to("../"), "[0].target_subpath", /lead out/],
    ["an absolute target", to("/etc"), "[0].target_subpath", /inside the share/],
    ["a home target", to("~/x"), "[0].target_subpath", /inside the share/],
    ["an empty target", to(""), "[0].target_subpath", /a folder inside the share/],
    ["a slash alone", to("/"), "[0].target_subpath", /inside the share/],
    ["an empty name between slashes", to("a//b"), "[0].target_subpath", /a folder/],
    ["a dot", to("./b"), "[0].target_subpath", /a folder/],
    ["a line break", to("a\nb"), "[0].target_subpath", /a folder/],
    ["no target", alias({ target_subpath: null }), "[0].target_subpath", /nothing/],
    ["an empty name", alias({ name: "" }), "[0].name", /a name/],
    [
      "a name with a slash",
      alias({ name: "a/b" }),
      "[0].name",
      /a folder inside a share into `target_subpath`/,
    ],
    ["a name that leads up", alias({ name: ".." }), "[0].name", /a name/],
    ["no share", alias({ share: null }), "[0].share", /nothing/],
    ["a share that is not there", alias({ share: "COER" }), "[0].share", /did you mean "CORE"\?/],
    ["a share in other letter case", alias({ share: "core" }), "[0].share", /did you mean "CORE"\?/],
    ["a relative path", alias({ path: "Desktop/x" }), "[0].path", /absolute path/],
    ["a path inside a share's link", alias({ path: "~/Shares/CORE/x" }), "[0].path", /inside the link/],
    ["a share's link itself", alias({ path: "~/Shares/CORE" }), "[0].path", /inside the link/],
    [
      "a path inside a share's mount",
      alias({ path: `${PLACE.defaultMountRoot}/CORE/x` }),
      "[0].path",
      /inside the mount/,
    ],
    ["the folder of the links", alias({ path: "~/Shares" }), "[0].path", /holds `shares_root`/],
    ["a folder around it", alias({ path: "/home" }), "[0].path", /holds `shares_root`/],
    ["the folder of aliases", alias({ path: "~/Shares/Links" }), "[0].path", /folder of all aliases/],
    [
      "two of one name",
      alias() + alias({ name: "DOCS", path: "/x" }),
      "[1].name",
      /the name of aliases\[0\]/,
    ],
    [
      "two at one path",
      alias() + alias({ name: "b", path: "~/Shares/Links/docs" }),
      "[1].path",
      /is that of aliases\[0\]/,
    ],
    ["one inside another", alias({ path: "/x" }) + alias({ name: "b", path: "/x/y" }), "[1].path", /meets/],
    ["one around another", alias({ path: "/x/y" }) + alias({ name: "b", path: "/x" }), "[1].path", /meets/],
    ["a key that is none", `${alias()}target = "x"\n`, "[0].target", /a key of `\[\[aliases\]\]`/],
  ];
  for (const [title, text, at, says] of rows) {
    it(title, async () => {
      const mistakes = await refused(SHARE + text);
      assertEach(mistakes, ({ path }) => path, [`aliases${at}`], describeMistakes(mistakes));
      assert.match(describeMistakes(mistakes), says);
      assert.ok((mistakes[0]?.line ?? 0) > 4, where(mistakes[0] ?? assert.fail()));
    });
  }

  it("a path in the mount of a share that the server names differently", async () => {
    const [mistake] = await refused(
      `[global]\nmount_root = "/Volumes"\n${SHARE}share_name = "core"\n${alias({ path: "/Volumes/core/x" })}`,
    );
    assert.match(mistake?.found ?? "", /inside the mount of share "core"/);
  });

  it("a share named Links, where aliases are", async () => {
    const [mistake] = await refused(SHARE.replace("CORE", "links"));
    assert.equal(mistake?.path, "shares[0].name");
  });

  it("a share that an alias still leads to cannot be removed", async () => {
    const [mistake] = await refused(ALIAS);
    assert.equal(mistake?.hint, "the file has no shares");
  });
});

describe("edited in place", () => {
  const add: ConfigEdit = {
    kind: "add",
    list: "aliases",
    entry: { name: "b", share: "CORE", target_subpath: "y" },
  };
  async function edited(format: ConfigFormat, text: string, ...edits: ConfigEdit[]): Promise<string> {
    const result = await editConfig({ bytes: bytes(text), format, edits });
    return new TextDecoder().decode(result.bytes);
  }

  it("the first one is added at the end, the next one after it, with every comment kept", async () => {
    const before = `# mine\n${SHARE}# of the share\n`;
    const first = await edited("toml", before, add);
    assert.equal(first, `${before}\n[[aliases]]\nname = "b"\nshare = "CORE"\ntarget_subpath = "y"\n`);
    const second = await edited("toml", `${ALIAS}\n${SHARE}`, add);
    const [ofAliases = ""] = second.split("[[shares]]");
    assert.equal(ofAliases.match(/\[\[aliases\]\]/g)?.length, 2);
    assert.ok(second.endsWith(SHARE));
  });

  it("in YAML too", async () => {
    const after = await edited("yaml", "shares:\n  - name: CORE # x\n", add);
    assert.equal(
      after,
      'shares:\n  - name: CORE # x\n\naliases:\n  - name: b\n    share: CORE\n    target_subpath: "y"\n',
    );
    const gone = await edited("yaml", after, { kind: "remove", list: "aliases", name: "B" });
    assert.deepEqual((await editConfig({ bytes: bytes(gone), format: "yaml", edits: [] })).changed, false);
    assert.ok(!gone.includes("target_subpath"), gone);
  });

  it("one is removed by its name, in any letter case, and nothing else is", async () => {
    const other = alias({ name: "b", path: "/x" });
    const text = `${SHARE}\n${ALIAS}# mine\n\n${other}`;
    const after = await edited("toml", text, { kind: "remove", list: "aliases", name: "DOCS" });
    assert.ok(after.includes(other) && after.includes("# mine") && !after.includes("docs"), after);
    await assert.rejects(edited("toml", text, { kind: "remove", list: "aliases", name: "dosc" }), {
      code: "alias_unknown",
      hint: 'did you mean "docs"?',
    });
    await assert.rejects(edited("toml", SHARE, { kind: "remove", list: "aliases", name: "x" }), {
      code: "alias_unknown",
      hint: "the configuration has no aliases",
    });
    await assert.rejects(edited("toml", ALIAS + ALIAS, { kind: "remove", list: "aliases", name: "docs" }), {
      code: "config_uneditable",
    });
  });

  it("a key of one is set by its name, and read", async () => {
    const text = SHARE + ALIAS;
    const after = await edited("toml", text, configEdit("aliases.docs.target_subpath", "Other place"));
    assert.equal(after, text.replace("Projects/2026", "Other place"));
    const get = (key: string, of = text) =>
      getConfigValue({ bytes: bytes(of), format: "toml", homeContext: PLACE }, parseConfigKey(key));
    assert.deepEqual(await get("aliases.docs.target_subpath"), { source: "file", value: "Projects/2026" });
    assert.deepEqual(await get("aliases[0].path"), { source: "default", value: "~/Shares/Links/docs" });
    assert.deepEqual(await get("aliases.docs.path", `[global]\nshares_root = "/S/"\n${text}`), {
      source: "default",
      value: "/S/Links/docs",
    });
    await assert.rejects(get("aliases.dcos.path"), { code: "alias_unknown" });
    await assert.rejects(get("aliases[3].path"), { code: "alias_unknown" });
    assert.throws(() => configEdit("aliases.docs.target_subpath", "../x"), { code: "usage" });
    assert.throws(() => configEdit("aliases.docs.target", "x"), { code: "config_key_unknown" });
  });

  it("all effective values are shown, and mean the same when read again", async () => {
    const shown = await effectiveText({ bytes: bytes(SHARE + ALIAS), format: "toml", homeContext: PLACE });
    assert.match(shown, /\[\[aliases\]\]\nname = "docs"/);
    assert.deepEqual(await aliasesOf(shown), await aliasesOf(SHARE + ALIAS));
  });
});
