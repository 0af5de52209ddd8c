import assert from "node:assert/strict";
import { test } from "node:test";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import { collisionsIn } from "../../../src/gateway/catalog/diff-catalogs.ts";
import { resolveTarget } from "../../../src/gateway/catalog/resolve.ts";
import { checkSkill } from "../../../src/gateway/catalog/skill-check.ts";
import { publishSkills } from "../../../src/gateway/catalog/skill-uris.ts";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";
import { pluck } from "../../support/pluck.ts";
import { catalogOf, FIRST_WINS, skill, source } from "./sources.ts";

const PREFIX = { ...FIRST_WINS, strategy: "prefix" } as const;
const uriOf = (path: string): string => `skill://${path}/SKILL.md`;
const reads = (sources: readonly CatalogSource[], uri: string, conflict = FIRST_WINS) =>
  resolveTarget(buildCatalog(sources, conflict), { kind: "resource", name: uri });
const gets = (sources: readonly CatalogSource[], uri: string) =>
  resolveTarget(catalogOf(...sources), { kind: "skill", name: uri });
const listed = (sources: readonly CatalogSource[], conflict = FIRST_WINS) => [
  ...buildCatalog(sources, conflict).skills.keys(),
];

test("D1 skills of several servers: one backend's skills pass untouched", () => {
  const one = source("a", { skills: ["git"], resources: [uriOf("git")] });
  const catalog = catalogOf(one);
  assert.equal(catalog.skills.get(uriOf("git"))?.definition, one.listings.skills?.[0]);
  assert.equal(catalog.resources.get(uriOf("git"))?.definition, one.listings.resources[0]);
});

test("D1 skills of several servers: two servers with one URI: both are published, with all of the later one's files", () => {
  const parts = { skills: ["acme/git"], resources: [uriOf("acme/git"), "skill://acme/git/a.md"] };
  const sources = [source("a", parts), source("b", parts)];
  const catalog = catalogOf(...sources);
  assert.deepEqual([...catalog.skills.keys()], [uriOf("acme/git"), uriOf("b/acme/git")]);
  const theirs = catalog.skills.get(uriOf("b/acme/git"))?.definition;
  const original = sources[1]?.listings.skills?.[0] ?? {};
  assert.equal(theirs?.["frontmatter"], original["frontmatter"]);
  const files = theirs?.["resources"] as readonly JsonObject[];
  assert.deepEqual(pluck(files, "uri"), ["skill://b/acme/git/SKILL.md", "skill://b/acme/git/a.md"]);
  assert.deepEqual(
    pluck(files, "digest", "size"),
    (original["resources"] as readonly JsonObject[]).map(({ digest, size }) => [digest, size]),
  );
  assert.deepEqual(
    [...catalog.resources.keys()],
    [...parts.resources, "skill://b/acme/git/SKILL.md", "skill://b/acme/git/a.md"],
  );
  assert.deepEqual(collisionsIn(catalog), []);
  const again = catalogOf(...sources);
  assert.equal(again.skills.get(uriOf("b/acme/git"))?.definition, theirs, "the same object again");
});

test("D1 skills of several servers: a file that no list names is read from the server whose skill contains it", () => {
  const sources = [source("a", { skills: ["git"] }), source("b", { skills: ["git", "sql"] })];
  const found = (uri: string) => {
    const one = reads(sources, uri);
    return one === null ? null : [one.backend, one.originalName];
  };
  assert.deepEqual(found("skill://git/deep/x.md"), ["a", "skill://git/deep/x.md"]);
  assert.deepEqual(found("skill://b/git/deep/x.md"), ["b", "skill://git/deep/x.md"]);
  assert.deepEqual(found("skill://b/git"), ["b", "skill://git"], "the folder itself");
  assert.deepEqual(found("skill://sql/x.md"), ["b", "skill://sql/x.md"]);
  assert.equal(found("skill://gitlab/x.md"), null);
  assert.equal(found(`skill://git${"/a".repeat(5_000)}`), null);
});

test("D1 skills of several servers: an entry that another server lists within a skill is not taken for a file of it", () => {
  const first = source("a", { skills: ["git"] });
  const liar = source("b", { resources: [uriOf("git"), "skill://git/evil.md", "skill://git"] });
  const own = { backend: "a", originalName: uriOf("git"), status: "listed" };
  for (const sources of [[first, liar]]) {
    assert.deepEqual(reads(sources, uriOf("git")), own);
    assert.equal(reads(sources, "skill://git/evil.md")?.backend, "a");
    const moved = reads(sources, "skill://b/git/evil.md");
    assert.deepEqual([moved?.backend, moved?.originalName], ["b", "skill://git/evil.md"]);
  }
  // Where it comes first, it keeps its URI, and the skill gets another.
  const sources = [liar, first];
  assert.deepEqual(listed(sources), [uriOf("a/git")]);
  assert.equal(reads(sources, uriOf("git"))?.backend, "b");
  assert.equal(reads(sources, "skill://a/git/x.md")?.backend, "a");
});

test("D1 skills within skills: those of one server stay together, those of two never mix", () => {
  const nested = source("b", { skills: ["acme", "acme/git", "acme/sql"] });
  assert.deepEqual(listed([source("a", { skills: ["acme/git"] }), nested]), [
    uriOf("acme/git"),
    uriOf("b/acme"),
    uriOf("b/acme/git"),
    uriOf("b/acme/sql"),
  ]);
  assert.deepEqual(listed([source("a", { skills: ["acme"] }), source("b", { skills: ["acme/git"] })]), [
    uriOf("acme"),
    uriOf("b/acme/git"),
  ]);
});

test("D1 skills of several servers: a name that another skill already has is not given to a second one", () => {
  const sources = [
    source("a", { skills: ["git", "b/git"], resources: ["skill://b/b/git/x.md"] }),
    source("b", { skills: ["git"] }),
  ];
  const all = listed(sources);
  assert.deepEqual(all, [uriOf("git"), uriOf("b/git"), uriOf("b/b/b/git")]);
  assert.equal(reads(sources, uriOf("b/b/b/git"))?.backend, "b");
});

test("D1 skills of several servers with `prefix`: a skill's URI names its server, whatever others have", () => {
  const resources = ["skill://git/a.md", "x://1"];
  const one = source("a", { skills: ["git"], resources, templates: ["skill://git/{file}"] });
  const catalog = buildCatalog([one], PREFIX);
  assert.deepEqual([...catalog.skills.keys()], [uriOf("a/git")]);
  assert.deepEqual([...catalog.resources.keys()], ["skill://a/git/a.md", "x://1"]);
  const [template] = catalog.templates.values();
  assert.deepEqual(template?.definition, { uriTemplate: "skill://a/git/{file}", name: "skill://git/{file}" });
  assert.deepEqual(reads([one], "skill://a/git/b.md", PREFIX as never)?.originalName, "skill://git/b.md");
});

test("D1 skills of several servers: a skill that the resources filter denies is unowned, however it is written", () => {
  const filters = { resources: { allow: null, deny: ["skill://secret/*"] } };
  const sources = [source("a", { skills: ["secret", "%73ecret", "open"], filters })];
  assert.deepEqual(listed(sources), [uriOf("open")]);
  for (const uri of [uriOf("secret"), uriOf("%73ecret"), "skill://open/../secret/SKILL.md"]) {
    assert.equal(reads(sources, uri), null, uri);
    assert.equal(gets(sources, uri), null, uri);
  }
  for (const parts of [{ resources: ["skill://secret/x.md"] }, { skills: ["secret"] }]) {
    const denied = source("a", { ...parts, filters });
    assert.deepEqual(listed([denied, source("b", { skills: ["secret"] })]), [uriOf("secret")]);
  }
});

test("D1 skills of several servers: an unlisted skill is requested from the only server with skills, or from none", () => {
  const plain = source("a", { resources: ["x://1"] });
  const one = source("b", { skills: [] });
  assert.deepEqual(gets([plain, one], uriOf("hidden")), {
    backend: "b",
    originalName: uriOf("hidden"),
    status: "listed",
  });
  assert.equal(gets([plain, one, source("c", { skills: ["x"] })], uriOf("hidden")), null);
  assert.equal(gets([plain], uriOf("hidden")), null);
  assert.equal(gets([{ ...one, withholdsSkills: true }], uriOf("hidden")), null, "what nobody approved");
});

test("E3 skills of several servers: invisible characters in a skill's text are removed and reported", () => {
  const made = source("a", { skills: [] });
  const bad = skill("git", "Works\u202e with git.");
  const catalog = catalogOf({ ...made, listings: { ...made.listings, skills: [bad] } });
  const shown = catalog.skills.get(uriOf("git"))?.definition["frontmatter"] as JsonObject;
  assert.equal(shown["description"], "Works with git.");
  const [told] = catalog.unseen;
  assert.equal(told?.kind, "skill");
  assert.match(told?.faults.join() ?? "", /frontmatter\.description: .*U\+202E/u);
});

test("D1 skills of several servers: the list is valid as short as that of any server with skills; others do not matter", () => {
  const fresh = { skills: { ttlMs: 9_000, cacheScope: "public" } } as const;
  const sources = [
    source("old", { resources: ["x://1"] }),
    { ...source("a", { skills: ["git"] }), freshness: fresh },
  ];
  assert.deepEqual(catalogOf(...sources).freshness.skills, fresh.skills);
  const older = source("b", { skills: ["sql"] });
  assert.equal(catalogOf(...sources, older).freshness.skills.ttlMs, 0);
});

test("D1 skills of several servers: each backend's URIs of thousands of segments take up only a few", (t) => {
  const hostile = Array.from({ length: 20 }, (_, index) => `skill://${index}${"/a".repeat(4_000)}`);
  const long = Array.from({ length: 20 }, (_, index) => `skill://${index}/${"a/".repeat(9_000)}`);
  const sources = [source("a", { skills: ["git"] }), source("b", { skills: ["git"], resources: hostile })];
  const slice = t.mock.method(String.prototype, "slice");
  catalogOf(...sources);
  assert.ok(
    slice.mock.callCount() < 20 * 33 * 5,
    `${slice.mock.callCount()} parts of ${hostile.length} URIs`,
  );
  slice.mock.resetCalls();
  publishSkills(
    [
      { backend: "a", skills: [uriOf("git")], resources: [] },
      { backend: "b", skills: [uriOf("git")], resources: long },
    ],
    false,
  );
  assert.ok(
    slice.mock.callCount() < 20,
    `${slice.mock.callCount()} parts of ${long.length} URIs that are too long`,
  );
});

test("D1 skills of several servers: a skill of the greatest allowed depth is read, and so is the later one's under its own name", () => {
  const deep = `${"a/".repeat(31)}git`;
  const sources = [source("a", { skills: [deep] }), source("b", { skills: [deep] })];
  assert.equal(reads(sources, `skill://${deep}/x/y.md`)?.backend, "a");
  assert.equal(reads(sources, `skill://b/${deep}/x/y.md`)?.backend, "b");
});

const SOUND = skill("acme/refunds", "Refunds a customer.");
const [OWN = {}, OTHER = {}] = SOUND["resources"] as readonly JsonObject[];
const FRONTMATTER = SOUND["frontmatter"] as JsonObject;

test("D3 checks of skills: a sound skill passes unchanged, and so does one whose files are generated when read", () => {
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
  ["a name in capitals", { frontmatter: { ...FRONTMATTER, name: "Refunds" } }, /^frontmatter\.name is not 1/],
  [
    "a name without end",
    { frontmatter: { ...FRONTMATTER, name: "a".repeat(65) } },
    /^frontmatter\.name is not 1/,
  ],
  ["a hidden character", { frontmatter: { ...FRONTMATTER, name: "refunds\u202e" } }, /^frontmatter\.name/],
  ["no description", { frontmatter: { name: "refunds" } }, /^frontmatter\.description is not/],
  ["an empty description", { frontmatter: { name: "refunds", description: " " } }, /is empty/],
  ["no files", { resources: undefined }, /^resources is neither/],
  ["other words for its files", { resources: "some" }, /^resources is neither/],
  ["a file that is none", { resources: [OWN, "a"] }, /^resources\[1\] is not an object/],
  ["a file elsewhere", { resources: [OWN, { ...OTHER, uri: "skill://other/a.md" }] }, /not within the skill/],
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
  test(`D3 checks of skills: ${what}: withheld`, () => {
    const { entry, faults } = checkSkill({ ...SOUND, ...members });
    assert.equal(entry, null);
    assert.match(faults.join(), fault);
  });

test("D3 checks of skills: harmless faults are corrected: capitals in a digest, a file listed twice, a wrong _meta", () => {
  assert.deepEqual(checkSkill({ ...SOUND, _meta: 5 }).entry, SOUND);
  const capitals = { ...OTHER, digest: String(OTHER["digest"]).replaceAll("a", "A") };
  const { entry, faults } = checkSkill({ ...SOUND, resources: [OWN, capitals, OWN], _meta: 5 });
  assert.deepEqual(entry, SOUND);
  assert.deepEqual(faults, [
    "resources[1].digest is in capitals",
    "resources[2] is listed before",
    "_meta is not an object",
  ]);
  for (const file of [capitals, OWN]) {
    const resources = [OWN, ...Array.from({ length: 12 }, () => file)];
    assert.equal(checkSkill({ ...SOUND, resources }).faults.length, 10);
  }
});
