// The thread that waits for messages of rtnetlink ([rtnetlink(7)]). It polls the socket, and an eventfd that ends the
// wait. The messages are not parsed: on each, the listener reads the interfaces and compares them.
import { constants } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { errorText } from "../../../runtime/errors.ts";
import { loadKoffi } from "../../native/core-foundation-darwin.ts";
import type { NativeEventMessage } from "../events/native-event-thread.ts";
import { EVENT_FD_SLOT, linkDetail, STOP_SLOT } from "../events/network-event-source.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const CLOEXEC = 0o2000000;
const NONBLOCK = 0o4000;
const NETLINK_ROUTE = 0;
/** RTMGRP_LINK | IPV4_IFADDR | IPV4_ROUTE | IPV6_IFADDR | IPV6_ROUTE. */
const GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
/** Flags that are both set while a link is up and has carrier. */
const IFF_UP_RUNNING = 0x1 | 0x40;
const MSG_DONTWAIT = 0x40;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
/**
 * A larger queue holds longer bursts before an overflow; the kernel limits it, usually to twice the default.
 */
const RECEIVE_QUEUE_BYTES = 1 << 20;
const POLLIN = 1;
/**
 * Number of bytes that are read of a message: its header, then a link's `ifinfomsg` and its first attribute, which is
 * its name, or an address's `ifaddrmsg` and the address.
 */
const RECEIVE_BYTES = 52;
/** Of an IPv6 address; how long it lasts comes next. */
const ADDRESS_END = 44;
/** `nla_type` of a link's name, and where a message has it. */
const IFLA_IFNAME = 3;
const FIRST_ATTRIBUTE_TYPE = 34;
const FIRST_ATTRIBUTE = 36;
/** At most this many datagrams are read in a row; then the listener is notified, and the stop flag is read. */
const DATAGRAMS_AT_ONCE = 64;
/** Limit of a poll, ms: only a safety net, in case a wake through the eventfd is lost. */
const LONGEST_POLL_MS = 10_000;

/** The system lacks or forbids something, so a restart would not help. */
class Unavailable extends Error {}

interface SystemCalls {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, length: number): number;
  send(fd: number, bytes: Uint8Array, length: number, flags: number): number;
  recv(fd: number, bytes: Uint8Array, length: number, flags: number): number;
  poll(fds: Uint8Array, count: number, timeoutMs: number): number;
  eventfd(initial: number, flags: number): number;
  close(fd: number): number;
  errno(): number;
}

async function loadSystemCalls(): Promise<SystemCalls> {
  try {
    const koffi = await loadKoffi();
    const libc = koffi.load(null);
    return {
      socket: libc.func("int socket(int, int, int)"),
      bind: libc.func("int bind(int, const uint8_t *, uint32_t)"),
      setsockopt: libc.func("int setsockopt(int, int, int, const uint8_t *, uint32_t)"),
      send: libc.func("int64_t send(int, const uint8_t *, size_t, int)"),
      recv: libc.func("int64_t recv(int, uint8_t *, size_t, int)"),
      poll: libc.func("int poll(uint8_t *, unsigned long, int)"),
      eventfd: libc.func("int eventfd(unsigned int, int)"),
      close: libc.func("int close(int)"),
      errno: () => koffi.errno(),
    };
  } catch (error) {
    throw new Unavailable(errorText(error));
  }
}

function openSocket(calls: SystemCalls): number {
  const fd = calls.socket(AF_NETLINK, SOCK_RAW | CLOEXEC | NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) throw new Unavailable(`no netlink socket: errno ${calls.errno()}`);
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(GROUPS, 8);
  if (calls.bind(fd, address, address.length) < 0) {
    const errno = calls.errno();
    calls.close(fd);
    throw new Unavailable(`netlink groups refused: errno ${errno}`);
  }
  const queueBytes = Buffer.alloc(4);
  queueBytes.writeInt32LE(RECEIVE_QUEUE_BYTES, 0);
  calls.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, queueBytes, queueBytes.length);
  return fd;
}

function listen(
  calls: SystemCalls,
  socket: number,
  eventFd: number,
  stopped: () => boolean,
  emit: (message: NativeEventMessage) => void,
): void {
  const received = Buffer.alloc(RECEIVE_BYTES);
  const lastFlags = new Map<string, number>();
  const pollFds = Buffer.alloc(16);
  pollFds.writeInt32LE(socket, 0);
  pollFds.writeInt16LE(POLLIN, 4);
  pollFds.writeInt32LE(eventFd, 8);
  pollFds.writeInt16LE(POLLIN, 12);

  emit({ kind: "ready" });
  while (!stopped()) {
    const polled = calls.poll(pollFds, 2, LONGEST_POLL_MS);
    if (polled < 0 && calls.errno() !== constants.errno.EINTR)
      throw new Error(`poll failed: errno ${calls.errno()}`);
    if (polled > 0) drain(calls, socket, received, lastFlags, emit);
  }
}

/**
 * Reads all messages in the queue, and tells the listener once. `lastFlags`: the flags in the last message of
 * each link and address.
 */
function drain(
  calls: SystemCalls,
  socket: number,
  received: Buffer,
  lastFlags: Map<string, number>,
  emit: (message: NativeEventMessage) => void,
): void {
  let isRung = false;
  const hidden = new Set<string>();
  for (let count = 0; count < DATAGRAMS_AT_ONCE; count += 1) {
    if (calls.recv(socket, received, RECEIVE_BYTES, MSG_DONTWAIT) >= 0) {
      isRung = true;
      // A list of interfaces does not show every change: it lacks routes, flags of addresses, and links
      // without addresses, such as a bridge's port.
      const type = received.readUInt16LE(4);
      if (isChange(type, received, lastFlags))
        hidden.add(isOfLink(type) ? linkDetail(nameIn(received)) : "an address or a route");
      continue;
    }
    const errno = calls.errno();
    if (errno === constants.errno.EAGAIN) break;
    if (errno === constants.errno.ENOBUFS) {
      hidden.add("events came faster than they were read");
      lastFlags.clear();
    } else if (errno !== constants.errno.EINTR) throw new Error(`recv failed: errno ${errno}`);
  }
  if (isRung || hidden.size > 0) emit({ kind: "bell", details: [...hidden] });
}

function isOfLink(type: number): boolean {
  return type === RTM_NEWLINK || type === RTM_DELLINK;
}

/** The name of the link that a message is about. */
function nameIn(received: Buffer): string {
  if (received.readUInt16LE(FIRST_ATTRIBUTE_TYPE) !== IFLA_IFNAME) return "an interface";
  const text = received.toString("latin1", FIRST_ATTRIBUTE);
  return text.slice(0, text.indexOf("\0"));
}

/**
 * Returns true if a message reports a change. The kernel repeats messages about unchanged links and addresses; the
 * first message about each one counts as a change.
 */
function isChange(type: number, received: Buffer, lastFlags: Map<string, number>): boolean {
  const isLink = isOfLink(type);
  if (!isLink && type !== RTM_NEWADDR && type !== RTM_DELADDR) return true;
  // A bridge's message about one of its ports (another family) says nothing about the link of that port.
  if (isLink && received.readUInt8(16) !== 0) return false;
  const subject = isLink ? received.toString("hex", 20, 24) : received.toString("hex", 19, ADDRESS_END);
  if (type === RTM_DELLINK || type === RTM_DELADDR) {
    lastFlags.delete(subject);
    return true;
  }
  const flags = isLink ? received.readUInt32LE(24) & IFF_UP_RUNNING : received.readUInt8(18);
  const isNew = lastFlags.get(subject) !== flags;
  lastFlags.set(subject, flags);
  return isNew;
}

async function run(): Promise<void> {
  const control = new Int32Array(workerData.control);
  const emit = (message: NativeEventMessage): void => parentPort?.postMessage(message);
  try {
    const calls = await loadSystemCalls();
    const socket = openSocket(calls);
    try {
      const eventFd = calls.eventfd(0, CLOEXEC | NONBLOCK);
      if (eventFd < 0) throw new Unavailable(`no eventfd: errno ${calls.errno()}`);
      // This thread must not close the eventfd: its number could then belong to another file when the main
      // thread writes to it. The main thread closes it after this thread has ended.
      Atomics.store(control, EVENT_FD_SLOT, eventFd + 1);
      listen(calls, socket, eventFd, () => Atomics.load(control, STOP_SLOT) !== 0, emit);
    } finally {
      calls.close(socket);
    }
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    emit({ kind: "unavailable", text: error.message });
  }
}

await run();
