//! Graphics adapters: which there are, and one that is opened, with the pipelines made for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use wgpu::{
    Backend, Backends, BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry,
    BindingType, Buffer, BufferBindingType, BufferDescriptor, BufferUsages, ComputePipeline,
    ComputePipelineDescriptor, DeviceType, ErrorFilter, Features, Instance, InstanceDescriptor,
    Limits, PipelineCompilationOptions, PipelineLayout, PipelineLayoutDescriptor,
    ShaderModuleDescriptor, ShaderSource, ShaderStages,
};

use super::shader::{Precision, Shader};
use crate::exec::ExecError;

/// Members of the kernels' uniform buffers lie at multiples of so many bytes, which every device takes.
pub(super) const SLOT: usize = 512;

/// An adapter, not opened.
#[derive(Clone, Debug)]
pub struct Adapter {
    inner: wgpu::Adapter,
    /// What is known of it.
    pub facts: Facts,
}

/// What is known of an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// As its driver calls it.
    pub name: String,
    pub kind: AdapterKind,
    /// `Vulkan`, `Metal` or `DirectX 12`.
    pub backend: &'static str,
    /// The driver's name and version.
    pub driver: String,
    /// `0000:01:00.0`, if it is known.
    pub pci: Option<String>,
    /// The most memory that a kernel can see at once, in bytes.
    pub binding: u64,
    /// The memory of a workgroup, in bytes.
    pub workgroup: u64,
    /// Whether it computes with float16.
    pub half: bool,
    /// Whether threads of a subgroup can exchange numbers, and the sizes of subgroups.
    pub subgroups: Option<[u32; 2]>,
}

/// What an adapter is made of. In the order in which they are preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// A graphics card.
    Discrete,
    /// Part of a processor.
    Integrated,
    /// Of a virtual machine.
    Virtual,
    /// Not told.
    Other,
    /// A program that computes on the CPU.
    Software,
}

/// The adapters of this machine, those that are preferred first. Empty if there is no driver, or no loader of drivers.
pub fn adapters() -> Vec<Adapter> {
    let instance = Instance::new(InstanceDescriptor {
        backends: Backends::VULKAN | Backends::METAL | Backends::DX12,
        ..InstanceDescriptor::new_without_display_handle()
    });
    let found = pollster::block_on(instance.enumerate_adapters(Backends::all()));
    let mut adapters: Vec<Adapter> = found
        .into_iter()
        .map(|inner| Adapter {
            facts: Facts::of(&inner),
            inner,
        })
        .collect();
    adapters.sort_by_key(|adapter| adapter.facts.kind);
    adapters
}

impl Facts {
    fn of(adapter: &wgpu::Adapter) -> Self {
        let info = adapter.get_info();
        let (limits, features) = (adapter.limits(), adapter.features());
        let driver = format!("{} {}", info.driver, info.driver_info);
        Self {
            name: info.name,
            kind: match info.device_type {
                DeviceType::DiscreteGpu => AdapterKind::Discrete,
                DeviceType::IntegratedGpu => AdapterKind::Integrated,
                DeviceType::VirtualGpu => AdapterKind::Virtual,
                DeviceType::Cpu => AdapterKind::Software,
                DeviceType::Other => AdapterKind::Other,
            },
            backend: match info.backend {
                Backend::Vulkan => "Vulkan",
                Backend::Metal => "Metal",
                Backend::Dx12 => "DirectX 12",
                _ => "other",
            },
            driver: driver.trim().to_owned(),
            pci: Some(info.device_pci_bus_id).filter(|id| !id.is_empty()),
            binding: limits.max_storage_buffer_binding_size,
            workgroup: u64::from(limits.max_compute_workgroup_storage_size),
            half: features.contains(Features::SHADER_F16),
            subgroups: features
                .contains(Features::SUBGROUP)
                .then_some([info.subgroup_min_size, info.subgroup_max_size]),
        }
    }
}

impl Adapter {
    /// All limits that it offers.
    pub(super) fn limits(&self) -> Limits {
        self.inner.limits()
    }
}

/// An adapter that is opened.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) precision: Precision,
    pub(super) limits: Limits,
    network: Layout,
    around: Layout,
    pipelines: Mutex<HashMap<Shader, ComputePipeline>>,
    /// What the driver said that went wrong.
    fault: Arc<Mutex<Option<String>>>,
}

/// What kernels are given.
#[derive(Debug)]
struct Layout {
    bindings: BindGroupLayout,
    pipeline: PipelineLayout,
}

impl Device {
    /// Opens an adapter.
    ///
    /// # Errors
    /// Fails if it has no float16 and that was asked for, or the driver fails.
    pub(super) fn open(
        adapter: &Adapter,
        precision: Precision,
        limits: Limits,
    ) -> Result<Self, ExecError> {
        let name = adapter.facts.name.clone();
        let failed = |message: String| ExecError::Device {
            device: name.clone(),
            message,
        };
        let needed = match precision {
            Precision::Single => Features::empty(),
            Precision::Half if adapter.facts.half => Features::SHADER_F16,
            Precision::Half => {
                return Err(failed("it does not compute with float16".to_owned()));
            }
        };
        let request = adapter.inner.request_device(&wgpu::DeviceDescriptor {
            label: Some("bundle"),
            // Timestamps cost nothing where none are taken.
            required_features: needed | adapter.inner.features() & Features::TIMESTAMP_QUERY,
            required_limits: limits.clone(),
            ..Default::default()
        });
        let (device, queue) =
            pollster::block_on(request).map_err(|error| failed(error.to_string()))?;
        let fault: Arc<Mutex<Option<String>>> = Arc::default();
        let note = |fault: &Mutex<Option<String>>, message: String| {
            // The first is the cause of what follows.
            let mut fault = fault.lock().unwrap_or_else(PoisonError::into_inner);
            fault.get_or_insert(message);
        };
        let for_errors = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            note(&for_errors, error.to_string());
        }));
        let for_loss = fault.clone();
        device.set_device_lost_callback(move |reason, message| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                note(&for_loss, format!("the device was lost: {message}"));
            }
        });
        let written = [BufferBindingType::Storage { read_only: false }];
        let read = [BufferBindingType::Storage { read_only: true }];
        let uniform = [BufferBindingType::Uniform];
        Ok(Self {
            network: Layout::new(&device, &[written, read, written, uniform].concat()),
            around: Layout::new(&device, &[written, read, read, written, uniform].concat()),
            name,
            device,
            queue,
            precision,
            limits,
            pipelines: Mutex::default(),
            fault,
        })
    }

    pub(super) fn failure(&self, message: impl Into<String>) -> ExecError {
        ExecError::Device {
            device: self.name.clone(),
            message: message.into(),
        }
    }

    /// Whether it notes the time before and after passes.
    pub(super) fn has_timestamps(&self) -> bool {
        self.device.features().contains(Features::TIMESTAMP_QUERY)
    }

    /// Fails if anything has gone wrong on the device.
    pub(super) fn check(&self) -> Result<(), ExecError> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match &*fault {
            Some(message) => Err(self.failure(message.clone())),
            None => Ok(()),
        }
    }

    /// The pipelines of shaders, in their order: those that are not there yet are made, in parallel.
    pub(super) fn pipelines(&self, shaders: &[&Shader]) -> Result<Vec<ComputePipeline>, ExecError> {
        let mut kept = self
            .pipelines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut missing: Vec<&Shader> = Vec::new();
        for shader in shaders {
            if !kept.contains_key(*shader) && !missing.contains(shader) {
                missing.push(shader);
            }
        }
        let made: Vec<ComputePipeline> = missing
            .par_iter()
            .map(|shader| self.pipeline(shader))
            .collect();
        self.check()?;
        kept.extend(missing.into_iter().cloned().zip(made));
        Ok(shaders
            .iter()
            .filter_map(|shader| kept.get(*shader).cloned())
            .collect())
    }

    fn pipeline(&self, shader: &Shader) -> ComputePipeline {
        let label = shader.kernel.name();
        let module = self.device.create_shader_module(ShaderModuleDescriptor {
            label: Some(label),
            source: ShaderSource::Wgsl(shader.text(self.precision).into()),
        });
        let layout = match shader.kernel.is_around() {
            true => &self.around,
            false => &self.network,
        };
        let options = PipelineCompilationOptions {
            // Every kernel writes its workgroup's memory before it reads it.
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        };
        self.device
            .create_compute_pipeline(&ComputePipelineDescriptor {
                label: Some(label),
                layout: Some(&layout.pipeline),
                module: &module,
                entry_point: Some("main"),
                compilation_options: options,
                cache: None,
            })
    }

    /// A buffer of so many bytes, at least one vector.
    ///
    /// # Errors
    /// Fails if there is no room for it.
    pub(super) fn buffer(
        &self,
        label: &'static str,
        bytes: u64,
        usage: BufferUsages,
    ) -> Result<Buffer, ExecError> {
        let memory = self.device.push_error_scope(ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(ErrorFilter::Validation);
        let internal = self.device.push_error_scope(ErrorFilter::Internal);
        let buffer = self.device.create_buffer(&BufferDescriptor {
            label: Some(label),
            size: bytes.max(16).next_multiple_of(4),
            usage,
            mapped_at_creation: false,
        });
        // In reverse order.
        let errors = [internal, validation, memory].map(|scope| pollster::block_on(scope.pop()));
        match errors.into_iter().flatten().next() {
            Some(error) => {
                Err(self.failure(format!("no room for {bytes} bytes of {label}: {error}")))
            }
            None => Ok(buffer),
        }
    }

    /// Binds buffers to the kernels of a network, or to those around it; the last, of which `SLOT` bytes are seen, has a
    /// dynamic offset.
    pub(super) fn bind(&self, around: bool, buffers: &[&Buffer]) -> wgpu::BindGroup {
        let layout = if around { &self.around } else { &self.network };
        let last = buffers.len() - 1;
        let entries: Vec<wgpu::BindGroupEntry<'_>> = buffers
            .iter()
            .enumerate()
            .map(|(index, buffer)| wgpu::BindGroupEntry {
                binding: index as u32,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset: 0,
                    size: wgpu::BufferSize::new(if index == last { SLOT as u64 } else { 0 }),
                }),
            })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &layout.bindings,
            entries: &entries,
        })
    }
}

impl Layout {
    fn new(device: &wgpu::Device, kinds: &[BufferBindingType]) -> Self {
        let entry = |(binding, kind): (usize, &BufferBindingType)| BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: ShaderStages::COMPUTE,
            ty: BindingType::Buffer {
                ty: *kind,
                has_dynamic_offset: *kind == BufferBindingType::Uniform,
                min_binding_size: None,
            },
            count: None,
        };
        let entries: Vec<BindGroupLayoutEntry> = kinds.iter().enumerate().map(entry).collect();
        let bindings = device.create_bind_group_layout(&BindGroupLayoutDescriptor {
            label: None,
            entries: &entries,
        });
        let pipeline = device.create_pipeline_layout(&PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        Self { bindings, pipeline }
    }
}
