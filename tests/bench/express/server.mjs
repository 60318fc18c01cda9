// What a team would write first: Express, with the panics in a Map. Nothing is stored, nobody is sent.
import express from "express";
import { randomUUID } from "node:crypto";

const panics = new Map();
const app = express();
app.use(express.json());

app.post("/panic", (request, response) => {
  const { location, metadata } = request.body;
  const panic = {
    id: randomUUID(),
    timestamp: Date.now(),
    status: "processing",
    location,
    metadata: metadata ?? {},
  };
  panics.set(panic.id, panic);
  response.status(202).json(panic);
});

app.get("/panic/:id", (request, response) => {
  const panic = panics.get(request.params.id);
  if (panic === undefined) {
    response.status(404).json({ error: "Panic not found", code: "not_found" });
    return;
  }
  response.json(panic);
});

const server = app.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
