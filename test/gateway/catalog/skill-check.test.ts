import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkSkill } from "../../../src/gateway/catalog/skill-check.ts";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";
import { skill } from "./sources.ts";

const SOUND = skill("acme/refunds", "Refunds a customer.");
const [OWN = {}, OTHER = {}] = SOUND["resources"] as readonly JsonObject[];
const FRONTMATTER = SOUND["frontmatter"] as JsonObject;

describe("checks of skills", () => {
  test("D3 a sound skill passes as it is, and so does one whose files are made when they are read", () => {
    assert.deepEqual(checkSkill(SOUND), { entry: SOUND, faults: [] });
    assert.equal(checkSkill(SOUND).entry, SOUND);
    const dynamic = { ...SOUND, resources: "dynamic" };
    assert.equal(checkSkill(dynamic).entry, dynamic);
    const elsewhere = {
      ...SOUND,
      uri: "github://acme/repo/refunds/SKILL.md",
      resources: [{ ...OWN, uri: "github://acme/repo/refunds/SKILL.md" }],
    };
    assert.equal(checkSkill(elsewhere).entry, elsewhere);
    const uri = `skill://${"a/".repeat(31)}refunds/SKILL.md`;
    const deep = { ...SOUND, uri, resources: [{ ...OWN, uri }] };
    assert.equal(checkSkill(deep).entry, deep);
  });

  const refused: readonly (readonly [string, JsonObject, RegExp])[] = [
    ["a file that is no SKILL.md", { uri: "skill://acme/refunds/README.md" }, /^uri is not that/],
    ["a query", { uri: "skill://acme/refunds/SKILL.md?x/SKILL.md" }, /^uri is not that/],
    ["steps up", { uri: "skill://acme/../refunds/SKILL.md" }, /^uri is not a plain one/],
    ["a page's scheme", { uri: "ui://refunds/SKILL.md" }, /^uri has a scheme/],
    ["a URI without end", { uri: `skill://${"a/".repeat(5_000)}refunds/SKILL.md` }, /^uri is not a plain/],
    [
      "a folder below 32 others",
      { uri: `skill://${"a/".repeat(32)}refunds/SKILL.md` },
      /^uri has more than 32 segments before/,
    ],
    ["no frontmatter", { frontmatter: null }, /^frontmatter is not an object/],
    ["no name", { frontmatter: { description: "x" } }, /^frontmatter\.name is not a string/],
    ["another name", { frontmatter: { ...FRONTMATTER, name: "refund" } }, /not the folder's name/],
    [
      "a name in capitals",
      { frontmatter: { ...FRONTMATTER, name: "Refunds" } },
      /^frontmatter\.name is not 1/,
    ],
    ["a hidden character", { frontmatter: { ...FRONTMATTER, name: "refunds\u202e" } }, /^frontmatter\.name/],
    ["no description", { frontmatter: { name: "refunds" } }, /^frontmatter\.description is not/],
    ["an empty description", { frontmatter: { name: "refunds", description: " " } }, /is empty/],
    ["no files", { resources: undefined }, /^resources is neither/],
    ["other words for its files", { resources: "some" }, /^resources is neither/],
    ["a file that is none", { resources: [OWN, "a"] }, /^resources\[1\] is not an object/],
    [
      "a file elsewhere",
      { resources: [OWN, { ...OTHER, uri: "skill://other/a.md" }] },
      /not within the skill/,
    ],
    [
      "a file a step up",
      { resources: [OWN, { ...OTHER, uri: "skill://acme/refunds/../b.md" }] },
      /not within the skill/,
    ],
    ["no SKILL.md", { resources: [OTHER] }, /lacks the skill's own/],
    ["a digest of another kind", { resources: [{ ...OWN, digest: "md5:00" }] }, /not one of SHA-256/],
    ["no size", { resources: [{ ...OWN, size: undefined }] }, /\.size is not a size/],
    ["a size below nothing", { resources: [{ ...OWN, size: -1 }] }, /\.size is not a size/],
    ["two files of one name", { resources: [OWN, OTHER, { ...OTHER, size: 6 }] }, /another file of the same/],
    ["files without end", { resources: Array.from({ length: 10_001 }, () => OWN) }, /more than 10000 files/],
  ];
  for (const [what, members, fault] of refused)
    test(`D3 ${what}: withheld`, () => {
      const { entry, faults } = checkSkill({ ...SOUND, ...members });
      assert.equal(entry, null);
      assert.match(faults.join(), fault);
    });

  test("D3 what loses nothing is mended: capitals in a digest, a file listed twice, a wrong _meta", () => {
    const capitals = { ...OTHER, digest: String(OTHER["digest"]).replaceAll("a", "A") };
    const { entry, faults } = checkSkill({ ...SOUND, resources: [OWN, capitals, OWN], _meta: 5 });
    assert.deepEqual(entry, SOUND);
    assert.deepEqual(faults, [
      "resources[1].digest is in capitals",
      "resources[2] is listed before",
      "_meta is not an object",
    ]);
  });
});
