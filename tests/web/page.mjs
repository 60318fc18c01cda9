// In the browser: what the test calls.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { PanicService } from "./gen/panic/v1/panic_service_pb.js";

window.createAndRead = async (baseUrl, options) => {
  const panics = createClient(PanicService, createConnectTransport({ baseUrl, ...options }));
  const { panic } = await panics.createPanic({ location: { lat: -33.9, lng: 18.4 } });
  const read = await panics.getPanic({ id: panic.id });
  return { created: panic.id, read: read.panic.id, durable: read.panic.durable };
};

window.failToRead = async (baseUrl, options) => {
  const panics = createClient(PanicService, createConnectTransport({ baseUrl, ...options }));
  try {
    await panics.getPanic({ id: "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2dff" });
    return "succeeded";
  } catch (reason) {
    return Code[ConnectError.from(reason).code];
  }
};
