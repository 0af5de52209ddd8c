// What an entry of the registry comes to: what starts it, what it wants to know, or why it cannot be used here.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readServerJson } from "../../src/registry/server-json.ts";

const npm = { registryType: "npm", identifier: "@me/files", version: "1.2.3" };
const way = (server: object) => readServerJson({ name: "n", ...server }).launch;
const words = (one: object): string => {
  const found = way({ packages: [one] });
  return found.kind === "program" ? [found.command, ...found.args.flat(2)].join(" ") : found.kind;
};

test("D1 a package is started with a pinned version, from its usual registry, and by a plain name", () => {
  for (const [one, expected] of [
    [npm, "npx -y @me/files@1.2.3"],
    [{ ...npm, registryBaseUrl: "https://registry.npmjs.org/" }, "npx -y @me/files@1.2.3"],
    [{ ...npm, registryBaseUrl: "https://evil.example.com" }, "none"],
    [{ ...npm, version: "latest" }, "none"],
    [{ ...npm, version: "" }, "none"],
    [{ ...npm, identifier: "https://evil.example.com/x" }, "none"],
    [{ ...npm, transport: { type: "sse" } }, "none"],
    [{ ...npm, runtimeArguments: [{ type: "positional", value: "-y" }] }, "npx -y @me/files@1.2.3"],
    [{ registry_type: "pypi", identifier: "files", version: "1.2" }, "uvx files==1.2"],
    [{ registryType: "oci", identifier: "me/files:1" }, "docker run -i --rm me/files:1"],
    [{ registryType: "oci", identifier: "me/files", version: "1" }, "docker run -i --rm me/files:1"],
    [{ registryType: "oci", identifier: "me/files" }, "none"],
    [{ registryType: "nuget", identifier: "files", version: "1.2.3" }, "none"],
  ] as const)
    assert.equal(words(one), expected, JSON.stringify(one));
});

test("D1 a server's inputs are asked for by name, and marked as secret, required or a choice", () => {
  const input = { description: "Yours", isRequired: true, isSecret: true, default: "", choices: ["a", 1] };
  const key = { name: "KEY", description: "Yours", isRequired: true, isSecret: true, fallback: null };
  const server = {
    remotes: [
      { type: "sse", url: "https://old.example.com" },
      {
        ...{ type: "streamable-http", url: "https://{host}.example.com/{other}", variables: { host: {} } },
        headers: [
          { name: "Authorization", value: "Bearer {KEY}", variables: { KEY: input } },
          { value: "x" },
        ],
      },
    ],
  };
  const host = { name: "host", description: null, isRequired: false, isSecret: false, fallback: null };
  assert.deepEqual(way(server), {
    kind: "address",
    url: ["https://", { ...host, isRequired: true, choices: [] }, ".example.com/", "{other}"],
    headers: new Map([["Authorization", ["Bearer ", { ...key, choices: ["a"] }]]]),
  });
  const packageArguments = [
    { type: "named", name: "--root", valueHint: "folder" },
    { type: "named", name: "--quiet" },
    { type: "positional", valueHint: "path", default: "/" },
  ];
  const found = way({ packages: [{ ...npm, packageArguments, environmentVariables: [{ name: "TOKEN" }] }] });
  assert.ok(found.kind === "program");
  const named = (name: string, fallback: string | null = null) => ({ ...host, name, fallback, choices: [] });
  assert.deepEqual(found.args.slice(2), [
    [["--root"], [named("root")]],
    [["--quiet"]],
    [[named("path", "/")]],
  ]);
  assert.deepEqual(found.env, new Map([["TOKEN", [named("TOKEN")]]]));
});

test("D1 a server that cannot be used here gives the reason, and its self-description is text or nothing", () => {
  const { launch: none, ...told } = readServerJson({
    name: 1,
    version: "1",
    status: "deprecated",
    packages: [{}],
  });
  assert.deepEqual(told, { name: "", version: "1", description: "", isDeprecated: true });
  assert.match(
    none.kind === "none" ? none.why : "",
    /^it has neither a package nor an address over HTTP; npm/,
  );
  const nuget = way({ packages: [{ registryType: "nuget" }] });
  assert.match(nuget.kind === "none" ? nuget.why : "", /^it has only packages of nuget; /);
});
