// Reads a registry's `server.json`, which describes an MCP server as a program to start or an address to reach. The
// text is untrusted.
import { isObject, type JsonMembers, objectOf, textOrNull } from "../runtime/text/json-object.ts";

/** A value that a server needs from its user. */
export interface RegistryInput {
  /** The name of a variable, header or option, or the meaning of an argument. */
  readonly name: string;
  readonly description: string | null;
  readonly isRequired: boolean;
  readonly isSecret: boolean;
  readonly fallback: string | null;
  /** The allowed values; empty: any. */
  readonly choices: readonly string[];
}

/** A literal text, or an input that is replaced by its value. */
export type RegistryText = string | RegistryInput;

/** Parts that are joined to one text. */
export type RegistryTemplate = readonly RegistryText[];

export type RegistryArgument = readonly RegistryTemplate[];

export interface RegistryServer {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly isDeprecated: boolean;
  readonly launch:
    | {
        readonly kind: "program";
        readonly command: string;
        /**
         * An argument is a group of words, such as an option and its value. It is left out if an input in it has no
         * value.
         */
        readonly args: readonly RegistryArgument[];
        readonly env: ReadonlyMap<string, RegistryTemplate>;
      }
    | {
        readonly kind: "address";
        readonly url: RegistryTemplate;
        readonly headers: ReadonlyMap<string, RegistryTemplate>;
      }
    | { readonly kind: "none"; readonly why: string };
}

/** Allowed identifiers by kind of package: plain names, although the runners also accept addresses and repositories. */
const IDENTIFIERS: ReadonlyMap<string, RegExp> = new Map([
  ["npm", /^(?:@[A-Za-z0-9][\w.-]*\/)?[A-Za-z0-9][\w.-]*$/],
  ["pypi", /^[A-Za-z0-9][\w.-]*$/],
  ["oci", /^[A-Za-z0-9][\w@./:+-]*$/],
]);
/** Exact versions only, because `1` and `latest` may mean another version tomorrow. */
const VERSIONS: ReadonlyMap<string, RegExp> = new Map([
  ["npm", /^\d+\.\d+\.\d[\w.+-]*$/],
  ["pypi", /^\d[\w.+-]*$/],
  ["oci", /^\w[\w.+-]*$/],
]);
/** The registries that npx and uvx use. In any other registry, the same name may be another package. */
const USUAL_SOURCE = /^https:\/\/(?:registry\.npmjs\.org|pypi\.org(?:\/simple)?)\/?$/;

export function readServerJson(server: JsonMembers): RegistryServer {
  const { name, version, description, status } = server;
  return {
    name: textOrNull(name) ?? "",
    version: textOrNull(version) ?? "",
    description: textOrNull(description) ?? "",
    isDeprecated: status === "deprecated",
    launch: launchOf(server),
  };
}

function launchOf(server: JsonMembers): RegistryServer["launch"] {
  const packages = listOf(server["packages"]);
  for (const one of packages) {
    const program = programOf(one);
    if (program !== null) return program;
  }
  for (const remote of listOf(server["remotes"])) {
    if (remote["type"] !== "streamable-http" || textOrNull(remote["url"]) === null) continue;
    return {
      kind: "address",
      // Without one of its parts there is no address.
      url: partsOf(textOrNull(remote["url"]) ?? "", remote["variables"]).map((part) =>
        typeof part === "string" ? part : { ...part, isRequired: true },
      ),
      headers: namedInputs(remote["headers"]),
    };
  }
  const kinds = packages.map((one) => String(one["registryType"])).filter((kind) => kind !== "undefined");
  const what =
    kinds.length === 0
      ? "neither a package nor an address over HTTP"
      : `only packages of ${kinds.join(", ")}`;
  return {
    kind: "none",
    why: `it has ${what}; npm, pypi and oci with an exact version, and streamable-http, can be used here`,
  };
}

/** Whether the name of an image ends with a version. */
function hasTag(identifier: string): boolean {
  const last = identifier.slice(identifier.lastIndexOf("/") + 1);
  return last.includes(":") && !last.endsWith(":");
}

function isFixedVersion(kind: string, identifier: string, version: string | null): boolean {
  if (IDENTIFIERS.get(kind)?.test(identifier) !== true) return false;
  // The identifier of an image may contain its version.
  if (version === null) return kind === "oci" && hasTag(identifier);
  return VERSIONS.get(kind)?.test(version) === true;
}

/** The program that starts a package, pinned to its version; null: the package cannot be used here. */
function programOf(one: JsonMembers): RegistryServer["launch"] | null {
  const kind = String(one["registryType"] ?? one["registry_type"]);
  const identifier = textOrNull(one["identifier"]);
  const version = textOrNull(one["version"]);
  const transport = objectOf(one["transport"])["type"] ?? "stdio";
  if (identifier === null || transport !== "stdio" || !isFixedVersion(kind, identifier, version)) return null;
  const source = textOrNull(one["registryBaseUrl"] ?? one["registry_base_url"]);
  if (kind !== "oci" && source !== null && !USUAL_SOURCE.test(source)) return null;
  const runtime = argumentsOf(one["runtimeArguments"]);
  const own = argumentsOf(one["packageArguments"]);
  const env = namedInputs(one["environmentVariables"]);
  const program = (command: string, ...args: RegistryArgument[]): RegistryServer["launch"] => ({
    kind: "program",
    command,
    args,
    env,
  });
  const fixed = (by: string): RegistryArgument => [
    [`${identifier}${version === null ? "" : `${by}${version}`}`],
  ];
  const isYes = ([part]: RegistryArgument): boolean => part?.length === 1 && part[0] === "-y";
  if (kind === "npm")
    return program("npx", [["-y"]], ...runtime.filter((one) => !isYes(one)), fixed("@"), ...own);
  if (kind === "pypi") return program("uvx", ...runtime, fixed("=="), ...own);
  if (kind !== "oci") return null;
  // With `-e NAME` and no value, Docker passes the variable on from its own environment.
  const variables = [...env.keys()].map((variable): RegistryArgument => [["-e"], [variable]]);
  const image = hasTag(identifier) ? [[identifier]] : fixed(":");
  return program("docker", [["run"]], [["-i"]], [["--rm"]], ...variables, ...runtime, image, ...own);
}

function namedInputs(value: unknown): ReadonlyMap<string, RegistryTemplate> {
  return new Map(
    listOf(value).flatMap((one) => {
      const name = textOrNull(one["name"]);
      return name === null ? [] : [[name, templateOf(one, name)] as const];
    }),
  );
}

function argumentsOf(value: unknown): RegistryArgument[] {
  return listOf(value).map((one): RegistryArgument => {
    const name = textOrNull(one["name"]);
    if (one["type"] !== "named" || name === null)
      return [templateOf(one, textOrNull(one["valueHint"]) ?? "argument")];
    const hasValue = ["value", "default", "valueHint", "isRequired", "format"].some(
      (key) => one[key] !== undefined,
    );
    return hasValue ? [[name], templateOf(one, name.replace(/^-+/, ""))] : [[name]];
  });
}

function templateOf(one: JsonMembers, name: string): RegistryTemplate {
  const value = textOrNull(one["value"]);
  return value === null ? [inputOf(name, one)] : partsOf(value, one["variables"]);
}

/** Splits the text into literal parts and inputs: `{name}` is the input `name` of `variables`. */
function partsOf(text: string, variables: unknown): RegistryTemplate {
  const known = objectOf(variables);
  return text.split(/(\{[A-Za-z_][\w-]*\})/).flatMap((part): RegistryText[] => {
    const name = /^\{(.*)\}$/.exec(part)?.[1];
    if (part === "") return [];
    return name !== undefined && isObject(known[name]) ? [inputOf(name, objectOf(known[name]))] : [part];
  });
}

function inputOf(name: string, one: JsonMembers): RegistryInput {
  return {
    name,
    description: textOrNull(one["description"]),
    isRequired: one["isRequired"] === true,
    isSecret: one["isSecret"] === true,
    fallback: textOrNull(one["value"]) ?? textOrNull(one["default"]),
    choices: Array.isArray(one["choices"])
      ? one["choices"].filter((choice) => typeof choice === "string")
      : [],
  };
}

function listOf(value: unknown): readonly JsonMembers[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/**
 * The file as an entry of a client's file. Texts that a person has to give are asked for as inputs, and optional ones are
 * left out. null: the file is not one, or has nothing that can be started or reached here.
 */
export function entryOfServerJson(values: JsonMembers) {
  if (!Array.isArray(values["packages"]) && !Array.isArray(values["remotes"])) return null;
  const server = readServerJson(values);
  const writtenOf = (word: RegistryTemplate): string | null => {
    const parts = word.map((part) => {
      if (typeof part === "string") return part;
      return part.fallback ?? (part.isRequired || part.isSecret ? `\${input:${part.name}}` : null);
    });
    return parts.includes(null) ? null : parts.join("");
  };
  const writtenIn = (texts: ReadonlyMap<string, RegistryTemplate>): JsonMembers =>
    Object.fromEntries(
      [...texts].flatMap(([key, word]) => {
        const text = writtenOf(word);
        return text === null ? [] : [[key, text]];
      }),
    );
  const name = server.name.split("/").at(-1) ?? server.name;
  if (server.launch.kind === "none") return null;
  if (server.launch.kind === "address")
    return {
      name,
      entry: {
        type: "http",
        url: writtenOf(server.launch.url) ?? "",
        headers: writtenIn(server.launch.headers),
      },
    };
  const args = server.launch.args.flatMap((group) => {
    const texts = group.map(writtenOf);
    return texts.includes(null) ? [] : texts;
  });
  return { name, entry: { command: server.launch.command, args, env: writtenIn(server.launch.env) } };
}
