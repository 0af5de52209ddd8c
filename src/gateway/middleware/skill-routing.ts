// Requests about skills and folders (extension io.modelcontextprotocol/skills): each goes to its backend, and the reply is
// checked and renamed like the lists.

import { isDeepStrictEqual } from "node:util";
import { trimEnd } from "../../runtime/text/trim-end.ts";
import type { Resolved } from "../catalog/catalog.ts";
import { cleanEntry } from "../catalog/clean-text.ts";
import { checkEntry } from "../catalog/entry-checks.ts";
import { skillAt } from "../catalog/skill-uris.ts";
import { isUnclear } from "../catalog/uri-template.ts";
import {
  errorReply,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  isError,
  isJsonObject,
  isWritable,
  type JsonObject,
  type Reply,
} from "../json-rpc.ts";
import type { GatewayRequest } from "./middleware.ts";
import { type RequestTarget, unknownTarget } from "./request-target.ts";
import type { RoutingServices } from "./routing-services.ts";
import { sanitise } from "./sanitise.ts";

type ToTarget = (request: GatewayRequest, target: RequestTarget, found: Resolved) => Promise<Reply>;

export function createSkillRouting({ pool, readsDirectories }: RoutingServices) {
  const call: ToTarget = ({ method, params, handle, signal }, _, { backend, originalName }) =>
    pool.call(backend, { method, params: { ...params, uri: originalName }, handle, signal });
  return {
    async get(request, target, found) {
      const reply = await call(request, target, found);
      if (isError(reply)) return reply;
      const skill = checkedSkill(reply.result["skill"], found.originalName);
      if (typeof skill === "string") return malformed(found.backend, skill);
      const published = skillAt(skill, target.name);
      const { skills, skillAccess } = request.served.catalog;
      const listed = skills.get(target.name)?.definition;
      // A skill that has changed since its approval is not returned. The next listing announces that it waits
      // for a new approval.
      const isWithheld = skillAccess.get(found.backend)?.isWithheld === true;
      if (isWithheld && !isDeepStrictEqual(published, listed)) return unknownTarget(target);
      return { result: { ...reply.result, skill: published } };
    },
    async readDirectory(request, target, found) {
      if (!readsDirectories(found.backend)) {
        return errorReply(INVALID_PARAMS, `The server of ${sanitise(target.name)} does not list folders`);
      }
      const reply = await call(request, target, found);
      if (isError(reply)) return reply;
      const { resources } = reply.result;
      if (!Array.isArray(resources)) return malformed(found.backend, "there is no list of resources in it");
      const children = resources.flatMap((child: unknown) => childOf(request, found, child));
      return { result: { ...reply.result, resources: children } };
    },
  } satisfies Record<string, ToTarget>;
}

/** The skill as clients may see it, or a text that says why it is invalid. */
function checkedSkill(skill: unknown, uri: string): JsonObject | string {
  if (!isJsonObject(skill) || !isWritable(skill)) return "there is no skill in it";
  if (skill["uri"] !== uri) return "its skill is another one";
  const { entry, faults } = checkEntry("skills", skill);
  return entry === null ? faults.join(", ") : cleanEntry(entry, false).entry;
}

/**
 * Returns a folder's child with the child's published URI; [] if the client may not see the child. A child outside
 * the folder is left out, so that a server cannot list another server's resources as its own.
 */
function childOf({ served, handle }: GatewayRequest, { backend, originalName }: Resolved, child: unknown) {
  if (!isJsonObject(child) || !isWritable(child)) return [];
  const { uri } = child;
  const folder = `${trimEnd(originalName, "/")}/`;
  if (typeof uri !== "string" || !uri.startsWith(folder) || isUnclear(uri)) return [];
  const { skillAccess, publishedSkills } = served.catalog;
  if (skillAccess.get(backend)?.permits(uri) !== true) return [];
  const published = publishedSkills.publishedUri(backend, uri);
  const target = { kind: "resource", name: published, backend, originalName: uri } as const;
  if (!served.mayRead(handle.client.principal, target)) return [];
  const { entry } = checkEntry("resources", child);
  if (entry === null) return [];
  const cleaned = cleanEntry(entry, true).entry;
  return [published === uri ? cleaned : { ...cleaned, uri: published }];
}

function malformed(backend: string, fault: string): Reply {
  return errorReply(INTERNAL_ERROR, `Server ${backend} gave an answer that no client could use: ${fault}`);
}
