// A slice of the load that `npm run bench -- gateway-flood` measures: one principal does its worst, and another is
// served. What is asserted is who is served, and what is held, never how fast.
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { createScriptedGateway } from "../scripted-gateway.ts";
import { callMessage, initializeMessage, startRig } from "./http-rig.ts";

const as = (name: string) => ({ ok: true, principal: { kind: "user", name, roles: [] } }) as const;

describe("E4 while one principal does its worst", () => {
  it("another is let in and served, keeps its session, and the tables keep their bounds", async () => {
    const gateway = createScriptedGateway();
    gateway.sessionsAllowed = () => 100;
    gateway.authenticate = ({ authorization }) => {
      const name = String(authorization).replace("Bearer ", "");
      return name === "much" || name === "little"
        ? as(name)
        : { ok: false, reason: "the bearer token is not accepted" };
    };
    await using rig = await startRig(gateway);
    const little = { authorization: "Bearer little" };
    const opened = await rig.post(initializeMessage(), little);
    const session = { ...little, "mcp-session-id": String(opened.headers["mcp-session-id"]) };
    const sockets: Socket[] = [];
    const open = (text: string): void => {
      const socket = connect(rig.listener.port, "127.0.0.1").resume();
      socket.on("error", () => {});
      socket.write(text);
      sockets.push(socket);
    };
    for (let count = 0; count < 2_000; count++) open("");
    const slow = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer much\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{`;
    for (let count = 0; count < 100; count++) open(slow);
    const much = { authorization: "Bearer much" };
    const load = [
      ...Array.from({ length: 300 }, () => rig.post(callMessage(1, "x"), { authorization: "Bearer guess" })),
      ...Array.from({ length: 300 }, () => rig.post(initializeMessage(), much)),
    ];
    for (let count = 0; count < 50; count++) {
      const answer = await rig.post(callMessage(count, "echo"), session);
      assert.equal(answer.status, 200, answer.body);
    }
    // Some of the load may have been closed at the door: it is what gives way.
    const statuses = (await Promise.allSettled(load)).map((each) =>
      each.status === "fulfilled" ? each.value.status : 0,
    );
    assert.ok(statuses.slice(300).includes(200));
    assert.ok(!statuses.slice(0, 300).includes(200));
    assert.ok(rig.front.sessions <= 101, "its hundred, and the other's one");
    assert.ok(rig.listener.connections <= 2_048);
    for (const socket of sockets) socket.destroy();
  });
});
