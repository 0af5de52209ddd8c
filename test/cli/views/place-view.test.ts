import assert from "node:assert/strict";
import test from "node:test";
import type { AliasStatus } from "../../../src/api/contract.ts";
import {
  type Favorite,
  renderAliases,
  renderFavorites,
  renderFolders,
} from "../../../src/cli/views/place-view.ts";
import { sampleAlias, sampleShare } from "../../api/sample-report.ts";
import { PLAIN } from "./looks.ts";

const ASCII = { ...PLAIN, unicode: false };

const alias = (changes: Partial<AliasStatus> = {}): AliasStatus =>
  sampleAlias({ target_subpath: "Docs/2026", path: "/S/Links/docs", ...changes });

function favorite(changes: Partial<Favorite> = {}): Favorite {
  return {
    name: "CORE",
    driver: "rclone",
    thunderbolt: "10.0.0.1",
    fallback: "nas.local:4450",
    share_name: "core",
    username: "ann",
    guest: false,
    stable_path: "/S/CORE",
    aliases: [],
    mount_state: "mounted",
    active_interface: "tb",
    ...changes,
  };
}

test("an alias is a line, and what is wrong with it another", () => {
  const aliases = [
    alias(),
    alias({ name: "a film", link: "missing" }),
    alias({ name: "t", link: "taken", detail: "/S/Links/t is a file" }),
    alias({ name: "b", link: "blocked", detail: "no answer" }),
  ];
  assert.equal(
    renderAliases(aliases, PLAIN),
    `✓ docs    CORE/Docs/2026  /S/Links/docs
▲ a film  CORE/Docs/2026  /S/Links/docs
    its link is not there; a daemon makes it, or: mountaineer alias reconcile
✗ t       CORE/Docs/2026  /S/Links/docs
    /S/Links/t is a file; it is left as it is
✗ b       CORE/Docs/2026  /S/Links/docs
    no answer
`,
  );
  assert.match(renderAliases([alias()], ASCII), /^\+ docs/);
  assert.equal(renderAliases([], PLAIN), "");
});

test("a favorite says how it is, over which route, and where its link is", () => {
  const favorites = [
    favorite({ aliases: ["docs", "film"] }),
    favorite({ name: "B" }),
    favorite({ name: "C", thunderbolt: null }),
  ];
  const shares = [sampleShare(), sampleShare({ name: "B", active_interface: "fallback" })];
  assert.equal(
    renderFavorites(favorites, shares, PLAIN),
    `CORE  mounted over Thunderbolt  10.0.0.1 | nas.local:4450  /S/CORE
    alias docs
    alias film
B     mounted over Fallback  10.0.0.1 | nas.local:4450  /S/CORE
C     no daemon runs  nas.local:4450  /S/CORE
`,
  );
});

test("names of others move no cursor", () => {
  const evil = "a\u001b[2J\nb";
  const folders = { share: "CORE", subpath: "", path: "/S/CORE", folders: [evil, "plain"], truncated: false };
  for (const text of [
    renderFolders(folders),
    renderAliases(
      [alias({ name: evil, target_subpath: evil, path: evil, link: "taken", detail: evil })],
      PLAIN,
    ),
    renderFavorites(
      [favorite({ name: evil, thunderbolt: evil, stable_path: evil, aliases: [evil] })],
      [],
      PLAIN,
    ),
  ]) {
    assert.ok(!text.includes("\u001b"), JSON.stringify(text));
  }
  assert.equal(
    renderFolders(folders).split("\n").length,
    3,
    "a line each, also for a name with a line break",
  );
});
