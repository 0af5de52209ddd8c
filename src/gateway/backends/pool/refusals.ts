// The errors of calls that no instance takes, and of those that are not repeated.
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INVALID_PARAMS,
  type Reply,
  type RpcError,
} from "../../json-rpc.ts";
import { mayComeBack } from "./pool-instance.ts";

export function notThere(backend: string, taskLocation: string): [code: number, message: string] {
  return mayComeBack(taskLocation)
    ? [BACKEND_UNAVAILABLE, `server ${backend} has this task at another address than the one in use`]
    : [INVALID_PARAMS, `the task has ended: the process of server ${backend} that had it has`];
}

export function notRepeated({ error }: { readonly error: RpcError }): Reply {
  const text = `${error.message}; the call had been sent and was not repeated, as it may have taken effect`;
  return errorReply(error.code, text, error.data);
}

export function refusal(message: string): Promise<Reply> {
  return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, message));
}
