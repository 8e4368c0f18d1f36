import type { HttpRoutes } from "@cilium-ts/http-endpoint";

/** What probes of other nodes ask for, here and in the health endpoint. */
export const helloRoutes: HttpRoutes = {
  "/hello": () => ({ status: 200, contentType: "text/plain; charset=utf-8", body: "" }),
};
