// Checks skills (extension io.modelcontextprotocol/skills, SEP-2640) against the rules of strict hosts. Pure.
import { valueOr } from "../../runtime/errors.ts";
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import { isRawNumber } from "../../runtime/text/exact-json.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import { isUnclear } from "./uri-template.ts";

/** The part of the URI before this is the skill's root. */
const SKILL_FILE = "/SKILL.md";
/** The value of `resources` in place of a list, for a skill whose files are generated when they are read. */
const DYNAMIC = "dynamic";
/** Maximum number of files in a skill. No real skill has more, and hosts must accept at least 512. */
const MOST_FILES = 10_000;
/** Segments in a skill's root: `skill://a/b` has two. Limits the search for the skill that contains a URI. */
export const MOST_SEGMENTS = 32;
const MOST_FAULTS = 10;
const LONGEST_NAME = 64;

const SKILL_URI = /^[a-z][a-z\d+.-]*:\/\/[^?#]+\/SKILL\.md$/i;
/** `ui` is for pages of MCP Apps, `mountaineer` for the gateway's own resources. */
const OTHER_SCHEMES = /^(?:ui|mountaineer):/i;
/** Agent Skills: lowercase letters and digits, with single hyphens between. */
const NAME = /^[\p{Ll}\p{Lo}\p{Nd}]+(?:-[\p{Ll}\p{Lo}\p{Nd}]+)*$/u;
const DIGEST = /^sha256:[\da-f]{64}$/;

/** `uri`: that of the SKILL.md. */
export function rootOf(uri: string): string {
  return uri.slice(0, -SKILL_FILE.length);
}

/**
 * Never corrects the frontmatter, because hosts compare it with the file. Corrects only capitals in a digest, files
 * listed twice and a malformed `_meta`.
 */
export function checkSkill(entry: JsonObject) {
  const faults: string[] = [];
  const { uri, frontmatter, resources, _meta } = entry;
  const fault = uriFault(uri) ?? frontmatterFault(frontmatter, String(uri));
  if (fault !== null) return { entry: null, faults: [fault] };
  const files = resources === DYNAMIC ? resources : checkFiles(resources, String(uri), faults);
  if (files === null) return { entry: null, faults };
  const isMetaBad = _meta !== undefined && !isJsonObject(_meta);
  if (isMetaBad) faults.push("_meta is not an object");
  if (files === resources && !isMetaBad) return { entry, faults };
  const { _meta: _dropped, ...others } = entry;
  return { entry: { ...(isMetaBad ? others : entry), resources: files }, faults };
}

function uriFault(uri: unknown): string | null {
  if (typeof uri !== "string" || !SKILL_URI.test(uri)) return "uri is not that of a SKILL.md";
  if (OTHER_SCHEMES.test(uri)) return "uri has a scheme that is not for skills";
  if (uri.length > TEXT_BOUNDS.uri.most || isUnclear(uri)) return "uri is not a plain one";
  const segments = rootOf(uri)
    .slice(uri.indexOf("://") + 3)
    .split("/");
  return segments.length > MOST_SEGMENTS
    ? `uri has more than ${MOST_SEGMENTS} segments before ${SKILL_FILE}`
    : null;
}

function frontmatterFault(frontmatter: unknown, uri: string): string | null {
  if (!isJsonObject(frontmatter)) return "frontmatter is not an object";
  const { name, description } = frontmatter;
  if (typeof name !== "string") return "frontmatter.name is not a string";
  if (!NAME.test(name) || name.length > LONGEST_NAME)
    return `frontmatter.name is not 1 to ${LONGEST_NAME} small letters, digits and hyphens`;
  if (typeof description !== "string") return "frontmatter.description is not a string";
  if (description.trim() === "") return "frontmatter.description is empty";
  return lastSegment(rootOf(uri)) === name ? null : "frontmatter.name is not the folder's name in uri";
}

function lastSegment(root: string): string {
  const segment = root.slice(root.lastIndexOf("/") + 1);
  return valueOr(() => decodeURIComponent(segment), segment);
}

/** Returns null if the skill must be withheld. */
function checkFiles(resources: unknown, uri: string, faults: string[]): readonly unknown[] | null {
  const refused = (fault: string): null => {
    faults.push(fault);
    return null;
  };
  if (!Array.isArray(resources)) return refused(`resources is neither a list nor "${DYNAMIC}"`);
  if (resources.length > MOST_FILES) return refused(`resources has more than ${MOST_FILES} files`);
  const below = `${rootOf(uri)}/`;
  const known = new Map<string, JsonObject>();
  let isMended = false;
  for (const [index, file] of resources.entries()) {
    const at = `resources[${index}]`;
    const mended = mendedFile(file, below);
    if (typeof mended === "string") return refused(`${at}${mended}`);
    const before = known.get(mended.uri);
    if (mended.file !== file && faults.length < MOST_FAULTS) faults.push(`${at}.digest is in capitals`);
    if (before !== undefined) {
      if (before["digest"] !== mended.file["digest"] || before["size"] !== mended.file["size"])
        return refused(`${at} is another file of the same uri`);
      if (faults.length < MOST_FAULTS) faults.push(`${at} is listed before`);
    } else known.set(mended.uri, mended.file);
    isMended ||= before !== undefined || mended.file !== file;
  }
  if (!known.has(uri)) return refused("resources lacks the skill's own SKILL.md");
  return isMended ? [...known.values()] : resources;
}

function mendedFile(file: unknown, below: string) {
  if (!isJsonObject(file)) return " is not an object";
  const { uri, digest, size } = file;
  if (typeof uri !== "string") return ".uri is not a string";
  if (!uri.startsWith(below) || uri.length > TEXT_BOUNDS.uri.most || isUnclear(uri))
    return ".uri is not within the skill";
  if (isRawNumber(size) || !Number.isSafeInteger(size) || Number(size) < 0) return ".size is not a size";
  if (typeof digest !== "string") return ".digest is not a string";
  if (DIGEST.test(digest)) return { uri, file };
  const small = digest.toLowerCase();
  return DIGEST.test(small) ? { uri, file: { ...file, digest: small } } : ".digest is not one of SHA-256";
}
