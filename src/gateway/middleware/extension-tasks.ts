// Tasks of 2026-07-28 (extension `io.modelcontextprotocol/tasks`, SEP-2663). A server may answer a call with a task;
// each request about a task goes to the backend that runs the task.
import {
  errorReply,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  isError,
  type JsonObject,
  type Reply,
} from "../json-rpc.ts";
import { declaresTasks, MISSING_CAPABILITY, TASKS_EXTENSION } from "../protocol.ts";
import type { GatewayRequest, Handle } from "./middleware.ts";
import { toolOfTask, unknownTask } from "./request-target.ts";
import type { RoutingServices } from "./routing-services.ts";
import type { OpenTask } from "./task-ids.ts";

/** Whether the client declares the extension in this request; else it gets no task. */
export function takesTasks({ handle: { declared } }: Pick<GatewayRequest, "handle">): boolean {
  return declaresTasks(declared);
}

export function missingTasks(declared: JsonObject | undefined): Reply | null {
  if (declaresTasks(declared)) return null;
  const message = `the client does not declare the extension ${TASKS_EXTENSION}, which this request needs`;
  const requiredCapabilities = { extensions: { [TASKS_EXTENSION]: {} } };
  return errorReply(MISSING_CAPABILITY, message, { requiredCapabilities });
}

/**
 * If the reply is a task, replaces the task's id with a signed id of ours. Other replies stay unchanged. `task`: what
 * the signed id says besides the server's id.
 */
export function publishedTask(
  { taskIds }: RoutingServices,
  { handle: { client } }: GatewayRequest,
  task: Omit<OpenTask, "id" | "mark">,
  reply: Reply,
): Reply {
  if (isError(reply) || reply.result["resultType"] !== "task") return reply;
  const failed = (why: string): Reply => errorReply(INTERNAL_ERROR, `server ${task.backend} ${why}`);
  const { taskId } = reply.result;
  const id = typeof taskId === "string" ? taskId : null;
  const sealed =
    id === null ? null : taskIds.seal({ ...task, id, mark: client.publicId ?? null }, client.principal);
  if (sealed === null) return failed("answered with a task whose id is missing, or too long");
  return { result: { ...reply.result, taskId: sealed } };
}

/** tasks/get, tasks/update, tasks/cancel: passed on with the server's own id. */
export function createTaskPassing({ pool }: RoutingServices): Handle {
  return async (request) => {
    const { method, params, handle, signal, task } = request;
    const missing = missingTasks(handle.declared);
    if (missing !== null) return missing;
    const taskId = params?.["taskId"];
    if (typeof taskId !== "string") return errorReply(INVALID_PARAMS, `${method} needs a string \`taskId\``);
    if (task === undefined || !isServed(request, task)) return unknownTask(params);
    const serverParams = { ...params, taskId: task.id };
    const reply = await pool.call(task.backend, {
      method,
      params: serverParams,
      handle,
      signal,
      taskLocation: task.taskLocation,
    });
    if (isError(reply) || reply.result["taskId"] === undefined) return reply;
    return { ...reply, result: { ...reply.result, taskId } };
  };
}

/** Handles a request to listen for a task: the client gets the task's changes until it stops listening. */
export function createTaskWatching({ pool }: RoutingServices): Handle {
  return async (request) => {
    const { params, handle, task } = request;
    const taskId = params?.["taskId"];
    if (task === undefined || typeof taskId !== "string" || !isServed(request, task))
      return unknownTask(params);
    return pool.watchTask({ ...task, name: taskId }, handle.client);
  };
}

/**
 * Whether the task is still served: false after its tool was removed; true while its whole backend is away.
 */
function isServed({ served }: GatewayRequest, task: OpenTask): boolean {
  if (!served.serves(task.backend)) return false;
  if (toolOfTask(served.catalog, task) !== null) return true;
  const isThere = [...served.catalog.tools.values()].some(({ backend }) => backend === task.backend);
  return !isThere;
}
