"""Everything that imports TensorFlow: models, sessions, the rewrite of a GraphDef."""
